"""Each rule for an answer: a right one passes, and one that is wrong in one place is told about that place."""

from __future__ import annotations

import pytest

from tests.contract.contract import check_answer, load
from tests.contract.examples import (
    ABSENT,
    ANSWER_HEADERS,
    ANSWERS,
    METRIC_VALUE,
    SEAT_EVENT,
    USAGE_EVENT,
    USAGE_METRIC,
    changed,
    described,
    encoded,
    page,
)

ERROR_HEADERS = {"Content-Type": "text/html"}


def answer(name, content=None, status=None, headers=ANSWER_HEADERS):
    right_status, right = ANSWERS.get(name, (200, page({"id": "x"})))
    method, path = described(name)
    body = content if isinstance(content, bytes) else encoded(right if content is None else content)
    return check_answer(method, path, right_status if status is None else status, headers, body)


def one(problems, *words):
    """The only problem, which says all of these words."""
    assert len(problems) == 1, problems
    assert [word for word in words if word not in problems[0]] == [], problems[0]


every_call = pytest.mark.parametrize("name", [endpoint.name for endpoint in load().endpoints])


@every_call
def test_a_right_answer_passes(name):
    assert answer(name) == []


@every_call
@pytest.mark.parametrize("status", [202, 204, 301, 307, 405, 418, 422])
def test_a_status_that_is_not_described(name, status):
    one(answer(name, status=status), f"{name} -> {status}: status: expected one of", "400, 401")


@every_call
@pytest.mark.parametrize("status", [400, 401, 403, 429, 500, 502, 503, 504])
def test_an_error_may_come_with_anything(name, status):
    assert answer(name, b"<html>Bad Gateway</html>", status, ERROR_HEADERS) == []
    assert answer(name, b"", status, {}) == []
    assert answer(name, {"error": {"type": "SomeType", "message": "words"}}, status) == []
    assert answer(name, {"errors": [1]}, status) == []


@every_call
def test_an_error_that_says_it_is_json_is_json(name):
    one(answer(name, b"<html>", 500), f"{name} -> 500: body: expected JSON")


@pytest.mark.parametrize("name", ["GET /seat-events/{id}", "GET /usage-metrics/{id}/calculate"])
def test_what_has_an_id_may_be_unknown(name):
    assert answer(name, status=404) == []


@pytest.mark.parametrize(
    "name", ["GET /usage-events", "POST /usage-events", "GET /usage-metrics", "POST /seat-events"]
)
def test_what_has_no_id_is_never_unknown(name):
    one(answer(name, status=404), f"{name} -> 404: status")


@pytest.mark.parametrize(("name", "status"), [("POST /usage-events", 200), ("GET /usage-events", 201)])
def test_created_and_ok_are_told_apart(name, status):
    one(answer(name, status=status), f"{name} -> {status}: status")


def test_a_call_that_the_api_does_not_have_is_an_error():
    assert check_answer("GET", "/nothing", 404, {}, b"") == []
    one(
        check_answer("GET", "/nothing", 200, ANSWER_HEADERS, b"{}"),
        "GET /nothing",
        "expected an error",
        "200",
    )


@every_call
@pytest.mark.parametrize("header", ["Content-Type", "Sequence-Version"])
def test_a_header_that_is_missing(name, header):
    headers = {key: value for key, value in ANSWER_HEADERS.items() if key != header}
    one(answer(name, headers=headers), f"{name} -> ", f"header {header}", "missing")


@pytest.mark.parametrize(
    ("header", "value", "status"),
    [
        ("Content-Type", "text/html", 201),
        ("Sequence-Version", "2024-07-31", 201),
        ("Sequence-Version", "latest", 400),
        ("Retry-After", "soon", 429),
        ("Retry-After", "-1", 503),
    ],
)
def test_a_header_that_is_wrong(header, value, status):
    told = answer("POST /usage-events", status=status, headers=ANSWER_HEADERS | {header: value})
    one(told, f"POST /usage-events -> {status}: header {header}", value)


@pytest.mark.parametrize("value", ["0", "17", "Wed, 21 Oct 2015 07:28:00 GMT"])
def test_a_retry_after_that_is_right(value):
    assert answer("POST /usage-events", b"", 429, {"Retry-After": value}) == []


@pytest.mark.parametrize("version", ["2024-01-01", "2024-05-09", "2024-07-30"])
def test_every_known_version_may_have_served(version):
    assert answer("GET /usage-events", headers=ANSWER_HEADERS | {"Sequence-Version": version}) == []


def paths(value, way=()):
    """Every field of an example, inside out."""
    members = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for step, member in members:
        yield (*way, step)
        yield from paths(member, (*way, step))


REQUIRED = {
    "POST /usage-events": [*USAGE_EVENT],
    "POST /seat-events": [*SEAT_EVENT],
    "GET /seat-events/{id}": [*SEAT_EVENT],
    "GET /usage-metrics/{id}/calculate": [field for field in METRIC_VALUE if field != "unit"],
}
OPTIONAL_OF_A_METRIC = {
    "description",
    "aggregationProperty",
    "groupingProperty",
    "unit",
    "createdAt",
    "deletedAt",
    "caseSensitive",
    "propertiesToNegate",
}


@pytest.mark.parametrize(
    ("name", "field"), [(name, field) for name, fields in REQUIRED.items() for field in fields]
)
def test_a_field_that_is_missing(name, field):
    told = answer(name, changed(ANSWERS[name][1], (field,), ABSENT))
    one(told, f"{name} -> {ANSWERS[name][0]}: body field", f"'{field}', but missing")


@pytest.mark.parametrize(
    ("name", "item"),
    [
        ("GET /usage-events", USAGE_EVENT),
        ("GET /seat-events", SEAT_EVENT),
        ("GET /usage-metrics", USAGE_METRIC),
    ],
)
def test_the_fields_of_an_item_of_a_list(name, item):
    optional = OPTIONAL_OF_A_METRIC if item is USAGE_METRIC else set()
    for field in item:
        told = answer(name, page(item, changed(item, (field,), ABSENT)))
        if field in optional:
            assert told == []
        else:
            one(told, f"{name} -> 200: body field items.1", f"'{field}', but missing")


@pytest.mark.parametrize("field", ["id", "usageMetricId", "name", "type", "description", "defaultValue"])
def test_the_fields_of_a_parameter_of_a_metric(field):
    told = answer("GET /usage-metrics", page(changed(USAGE_METRIC, ("parameters", 0, field), ABSENT)))
    one(told, "body field items.0.parameters.0", f"'{field}', but missing")


WRONG_KIND = {str: 5, int: "5", float: [1], bool: "true", dict: [], list: {}}
FREE = {"eventProperties", "propertyFilters"}


@pytest.mark.parametrize(
    ("name", "path"),
    [
        (name, path)
        for name in ("POST /usage-events", "GET /usage-events", "POST /seat-events", "GET /usage-metrics")
        for path in paths(ANSWERS[name][1])
        if not FREE & set(path[:-1])
    ],
)
def test_a_field_of_another_type(name, path):
    content = ANSWERS[name][1]
    place = content
    for step in path:
        place = place[step]
    told = answer(name, changed(content, path, WRONG_KIND[type(place)]))
    one(told, f"{name} -> ", f"body field {'.'.join(map(str, path))}: expected")


@pytest.mark.parametrize(
    ("name", "path", "new", "words"),
    [
        ("POST /usage-events", ("id",), "", "minLength"),
        ("POST /usage-events", ("eventTimestamp",), "yesterday", "ISO 8601"),
        ("POST /usage-events", ("eventProperties",), None, "expected object"),
        ("GET /usage-events", ("items", 0, "eventTimestamp"), "2024-03-31", "ISO 8601"),
        ("GET /usage-events", ("items",), None, "expected array"),
        ("GET /usage-events", ("items",), ABSENT, "'items', but missing"),
        ("GET /usage-events", ("pagination",), ABSENT, "'pagination', but missing"),
        ("GET /usage-events", ("pagination",), None, "expected object"),
        ("GET /usage-events", ("pagination", "totalResultSize"), "3", "expected integer or null"),
        ("GET /usage-events", ("pagination", "totalResultSize"), -1, "minimum 0"),
        ("GET /usage-events", ("pagination", "totalResultSize"), 2**63, "maximum"),
        ("GET /usage-events", ("pagination", "totalResultSize"), 3.0, "expected integer or null"),
        ("GET /usage-events", ("pagination", "after"), {}, "expected string or null"),
        ("GET /usage-events", ("pagination", "before"), 1, "expected string or null"),
        ("GET /seat-events/{id}", ("total",), 1.5, "expected integer"),
        ("GET /seat-events/{id}", ("total",), True, "expected integer"),
        ("GET /usage-metrics", ("items", 0, "metricType"), "DOUBLE", "SIMPLE, GROUPED"),
        ("GET /usage-metrics", ("items", 0, "aggregationType"), "MAX", "COUNT, UNIQUE, SUM, CUSTOM"),
        ("GET /usage-metrics", ("items", 0, "parameters", 0, "type"), "TEXT", "POSITIVE_NUMBER"),
        ("GET /usage-metrics", ("items", 0, "createdAt"), "1711929599", "ISO 8601"),
        ("GET /usage-metrics", ("items", 0, "unit"), None, "expected string"),
        ("GET /usage-metrics/{id}/calculate", ("value",), None, "expected number or string"),
        ("GET /usage-metrics/{id}/calculate", ("value",), [1], "expected number or string"),
        ("GET /usage-metrics/{id}/calculate", ("eventCount",), "4", "expected integer"),
        ("GET /usage-metrics/{id}/calculate", ("eventCount",), -1, "minimum 0"),
        ("GET /usage-metrics/{id}/calculate", ("metricType",), "DOUBLE", "SIMPLE, GROUPED"),
        ("GET /usage-metrics/{id}/calculate", ("aggregationType",), "MAX", "COUNT, UNIQUE, SUM, CUSTOM"),
        ("GET /usage-metrics/{id}/calculate", ("name",), 5, "expected string"),
        ("GET /usage-metrics/{id}/calculate", ("eventType",), 5, "expected string"),
        ("GET /usage-metrics/{id}/calculate", ("unit",), 5, "expected string or null"),
        ("POST /customer-aliases", ("customerId",), 5, "expected string"),
        ("POST /customer-aliases", ("value",), None, "expected string"),
        ("POST /customer-aliases", ("label",), 5, "expected string or null"),
        ("GET /customer-aliases", ("items", 0), "acme", "expected object"),
        ("GET /customers", ("items", 0), 5, "expected object"),
        ("GET /customers", ("items",), {}, "expected array"),
    ],
)
def test_an_answer_that_is_wrong_in_one_place(name, path, new, words):
    status, content = ANSWERS[name]
    one(answer(name, changed(content, path, new)), f"{name} -> {status}: body field", str(path[0]), words)


@pytest.mark.parametrize("name", ["GET /seat-balances", "GET /customers/{id}/aliases"])
def test_an_answer_of_unknown_shape(name):
    assert answer(name, []) == []
    assert answer(name, {}) == []
    one(answer(name, b"null"), "(whole body)", "object or array")
    one(answer(name, b"17"), "(whole body)", "object or array")


@every_call
def test_no_success_without_json(name):
    one(answer(name, b""), f"{name} -> ", "body: expected JSON")
    one(answer(name, b"<html>"), f"{name} -> ", "body: expected JSON")
    one(answer(name, b'"done"'), f"{name} -> ", "body field (whole body): expected")


def test_a_page_has_at_most_a_hundred_items():
    assert answer("GET /usage-events", page(*[USAGE_EVENT] * 100)) == []
    one(answer("GET /usage-events", page(*[USAGE_EVENT] * 101)), "body field items", "maxItems 100")


@pytest.mark.parametrize(
    "pagination",
    [
        {},
        {"after": None, "before": None, "totalResultSize": None},
        {"after": "", "totalResultSize": 0},
        {"before": "bGFzdA", "totalResultSize": 2**63 - 1, "next": "more"},
    ],
)
def test_every_reading_of_the_end_of_a_list(pagination):
    assert answer("GET /usage-events", {"items": [], "pagination": pagination}) == []


@pytest.mark.parametrize("name", ["POST /usage-events", "POST /seat-events"])
def test_an_empty_alias_may_come_back(name):
    assert answer(name, changed(ANSWERS[name][1], ("customerAlias",), "")) == []


def test_not_a_number_never_comes_back():
    body = encoded(USAGE_EVENT).replace(b"20.5", b"NaN")
    one(answer("POST /usage-events", body), "POST /usage-events -> 201: body", "NaN")
