"""The contract checker: right requests and answers pass, and each kind of violation is reported."""

from __future__ import annotations

import json
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.contract.contract import check_answer, check_request, load, published
from tests.contract.examples import (
    ABSENT,
    ANSWER_HEADERS,
    ANSWERS,
    BODY_HEADERS,
    METRIC_VALUE,
    NEW_USAGE_EVENT,
    QUERIES,
    REQUEST_HEADERS,
    REQUESTS,
    SEAT_EVENT,
    USAGE_EVENT,
    USAGE_METRIC,
    changed,
    described,
    encoded,
    page,
    patient,
)

METRIC = "/usage-metrics/7c0a2a38-3f2e-4a6e-9b4c-0c6f3a6c1c11/calculate"
PERIOD = "periodStart=2024-03-01&periodEnd=2024-03-31"
EVENT = encoded(NEW_USAGE_EVENT)


def get(path, query=""):
    return check_request("GET", path, query, REQUEST_HEADERS, b"")


def post(path, body, headers=BODY_HEADERS):
    return check_request("POST", path, "", headers, body if isinstance(body, bytes) else encoded(body))


def answer(name, content=None, status=None, headers=ANSWER_HEADERS):
    right_status, right = ANSWERS[name]
    method, path = described(name)
    body = content if isinstance(content, bytes) else encoded(right if content is None else content)
    return check_answer(method, path, status or right_status, headers, body)


def assert_one(problems, *words):
    """Assert that there is one problem, and that it has all of these words."""
    assert len(problems) == 1, problems
    assert [word for word in words if word not in problems[0]] == [], problems[0]


def test_right_request_and_answer_of_each_endpoint_pass():
    for endpoint in load().endpoints:
        method, path = described(endpoint.name)
        headers, body = REQUEST_HEADERS, b""
        if endpoint.request is not None:
            headers, body = BODY_HEADERS, encoded(REQUESTS[endpoint.name])
        assert check_request(method, path, QUERIES.get(endpoint.name, ""), headers, body) == []
        assert answer(endpoint.name) == []


def test_right_queries_pass():
    for path, query in [
        ("/usage-events", "limit=1&after=MDE4%3D&offset=0"),
        ("/usage-events", "limit=100&before=MDE4&offset=200&sortOrder=DESC&sortBy=eventTimestamp"),
        ("/usage-events", "customerAlias=a&customerAlias=b%2Cc&unmappedAliasesOnly=false&eventType=a+b"),
        ("/usage-events", "eventTimestampAfter=2024-03-01T00%3A00%3A00Z"),
        ("/usage-metrics", "name=Pages%20of&id=7C0A&eventType=a%252Cb%2Cc%2520d&eventProperty=pages,weight"),
        ("/usage-metrics", "aggregationType=COUNT,UNIQUE,SUM,CUSTOM"),
        ("/seat-events", "customerAlias=a%2Cb&customerIds=" + ",".join(map(str, range(25)))),
        (METRIC, f"customerAliases=a,b&{PERIOD}"),
        (METRIC, f"customerAliases=a&customerAliases=b&{PERIOD}"),
        (METRIC, "customerAliases=a&periodStart=2024-03-01T00:00:00Z&periodEnd=2024-04-01T00:00:00%2B02:00"),
        ("/customers", "alias=acme&limit=5"),
        ("/invoices", "limit=5&after=x&invoiceCurrency=EUR,GBP&excludeNetTotal=1.5"),
    ]:
        assert get(path, query) == []


def test_right_headers_pass():
    assert post("/usage-events", NEW_USAGE_EVENT, BODY_HEADERS | {"Idempotency-Key": "0f6b"}) == []
    without_body = REQUEST_HEADERS | {"Content-Type": "text/plain"}
    assert check_request("GET", "/usage-events", "", without_body, b"") == []
    pairs = [(name.lower().encode(), value.encode()) for name, value in REQUEST_HEADERS.items()]
    assert check_request("GET", "/usage-events", b"limit=5", pairs, b"") == []
    assert_one(check_request("GET", "/usage-events", b"limit=0", pairs, b""), "query parameter limit")


@pytest.mark.parametrize(
    ("method", "path", "words"),
    [
        ("GET", "/usage-events/", "nothing is described"),
        ("GET", "/seat-events/a%zz", "nothing is described"),
        ("GET", "/usage-metrics//calculate", "nothing is described"),
        ("PUT", "/usage-events", "GET and POST"),
        ("POST", "/usage-metrics", "takes GET"),
    ],
)
def test_unknown_call_is_reported(method, path, words):
    assert_one(check_request(method, path, "", BODY_HEADERS, b""), f"{method} {path}", words)


@pytest.mark.parametrize(
    ("path", "query", "place", "words"),
    [
        ("/usage-events", "limit=0", "parameter limit", "from 1 to 100"),
        ("/usage-events", "limit=101", "parameter limit", "from 1 to 100"),
        ("/usage-events", "limit=05", "parameter limit", "from 1 to 100"),
        ("/usage-events", "limit=", "parameter limit", "expected a value"),
        ("/usage-events", "limit=5&limit=5", "parameter limit", "expected once, got 2 times"),
        ("/usage-events", "seatType=a", "parameter seatType", "expected one of"),
        ("/usage-events", "after=a&before=b", "parameter after", "without before"),
        ("/usage-events", "offset=1", "parameter offset", "after or before"),
        ("/usage-events", "sortOrder=desc", "parameter sortOrder", "ASC, DESC"),
        ("/usage-events", "unmappedAliasesOnly=1", "parameter unmappedAliasesOnly", "true or false"),
        ("/usage-events", "eventTimestampAfter=2024-03-01T00:00:00", "eventTimestampAfter", "a UTC time"),
        ("/usage-events", "eventType=%zz", "query", "whole percent escapes"),
        ("/usage-events", "eventType=%FF", "query", "UTF-8"),
        ("/usage-events", "eventType=é", "query", "ASCII"),
        ("/usage-metrics", "eventType=a,%2520,c%20d", "eventType", "percent-encoded before the commas"),
        ("/usage-metrics", "sortOrder=ASC", "parameter sortOrder", "expected one of"),
        ("/usage-metrics", "eventProperty=%25FF", "parameter eventProperty", "UTF-8"),
        ("/usage-metrics", "aggregationType=SUM,MAX", "aggregationType", "COUNT, UNIQUE, SUM, CUSTOM"),
        ("/seat-events", "customerIds=a,,b", "parameter customerIds", "expected a value"),
        ("/seat-events", "customerIds=" + ",".join(map(str, range(26))), "customerIds", "at most 25"),
        ("/seat-events/abc", "limit=5", "parameter limit", "no parameter at all"),
        (METRIC, "customerAliases=a&periodStart=2024-03-01", "parameter periodEnd", "missing"),
        (METRIC, "customerAliases=a&periodStart=March&periodEnd=2024-03-31", "periodStart", "a date"),
    ],
)
def test_wrong_query_is_reported(path, query, place, words):
    assert_one(get(path, query), "GET /", "query", place, words)


def test_missing_query_is_reported_for_each_required_parameter():
    assert len(get(METRIC)) == 3


def test_lists_have_pages_and_order_where_documented():
    for call, facts in published().items():
        _, path = described(call)
        names = facts.get("query", {})
        for name, value, wrong in (
            ("limit", "100", "101"),
            ("after", "x", ""),
            ("before", "x", ""),
            ("sortOrder", "ASC", "UP"),
        ):
            if name in names and "{id}/calculate" not in call:
                assert get(path, f"{name}={value}") == []
                assert_one(get(path, f"{name}={wrong}"), f"parameter {name}")
            elif "answer" in facts:
                assert_one(get(path, f"{name}={value}"), f"parameter {name}")
        if "answer" in facts:
            assert_one(get(path, "filterOfNextYear=1"), "filterOfNextYear")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("Authorization", "Bearer abc", "Basic"),
        ("Sequence-Version", "2024-01-01", "2024-07-30"),
        ("User-Agent", "", "not empty"),
        ("Content-Type", "text/plain", "application/json"),
    ],
)
def test_wrong_or_missing_request_header_is_reported(name, value, words):
    wrong = post("/usage-events", NEW_USAGE_EVENT, BODY_HEADERS | {name: value})
    assert_one(wrong, "POST /usage-events", f"header {name}", words)
    rest = {key: kept for key, kept in BODY_HEADERS.items() if key != name}
    assert_one(post("/usage-events", NEW_USAGE_EVENT, rest), f"header {name}", "missing")


def test_wrong_optional_header_is_reported():
    told = post("/usage-events", NEW_USAGE_EVENT, BODY_HEADERS | {"Idempotency-Key": " "})
    assert_one(told, "header Idempotency-Key", "not empty")


def test_credentials_are_not_in_the_report():
    headers = REQUEST_HEADERS | {"Authorization": "Basic c2VjcmV0"}
    [told] = check_request("GET", "/usage-events", "", headers, b"")
    assert "header Authorization" in told
    assert "c2VjcmV0" not in told


@pytest.mark.parametrize(
    ("path", "field", "new", "words"),
    [
        ("/usage-events", "eventType", ABSENT, "'eventType', but missing"),
        ("/usage-events", "customerEventId", ABSENT, "expected from this client in every case"),
        ("/usage-events", "customerAlias", 5, "expected string"),
        ("/usage-events", "customerAlias", "", "minLength 1"),
        ("/usage-events", "eventTimestamp", "2024-03-31T23:59:59+00:00", "a UTC time"),
        ("/usage-events", "eventProperties", None, "expected object"),
        ("/usage-events", "total", 1, "no other fields than"),
        ("/seat-events", "total", True, "expected integer"),
        ("/seat-events", "total", 12.0, "expected integer"),
        ("/seat-events", "total", -1, "minimum 0"),
    ],
)
def test_wrong_body_field_is_reported(path, field, new, words):
    told = post(path, changed(REQUESTS[f"POST {path}"], (field,), new))
    assert_one(told, f"POST {path}: body field", field, words)


def test_optional_body_fields_may_be_missing():
    for path, field in [
        ("/usage-events", "eventTimestamp"),
        ("/usage-events", "eventProperties"),
        ("/customer-aliases", "label"),
    ]:
        assert post(path, changed(REQUESTS[f"POST {path}"], (field,), ABSENT)) == []


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"customerAlias": ', "expected JSON"),
        (b'{"customerAlias": "caf\xe9"}', "expected UTF-8"),
        (b"[" * 100_000, "expected JSON"),
        (b"null", "expected object"),
        (EVENT.replace(b"20.5", b"NaN"), "got NaN"),
        (EVENT.replace(b'"weight"', b'"pages"'), "'pages' twice"),
        (EVENT.replace(b"acme", rb"\ud83d"), "half of a surrogate pair"),
    ],
)
def test_body_that_is_no_json_object_is_reported(body, words):
    assert_one(post("/usage-events", body), "POST /usage-events", "body", words)


def test_body_of_a_call_without_one_is_reported():
    assert_one(check_request("GET", "/usage-events", "", BODY_HEADERS, b"{}"), "body: expected none")


def test_all_problems_of_a_request_are_reported():
    body = NEW_USAGE_EVENT | {"eventType": 5, "eventTimestamp": "today"}
    headers = {name: value for name, value in BODY_HEADERS.items() if name != "Sequence-Version"}
    told = check_request("POST", "/usage-events", "x=1", headers, encoded(body))
    places = ("header Sequence-Version", "parameter x", "field eventType", "field eventTimestamp")
    assert len(told) == 4
    assert all(any(place in problem for problem in told) for place in places)


TEXTS = st.text(st.characters(codec="utf-8"), min_size=1)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@patient
@given(st.lists(TEXTS, min_size=1))
def test_any_encoded_list_passes(values):
    joined = ",".join(quote(value, safe="") for value in values)
    assert get("/usage-metrics", urlencode({"eventType": joined})) == []
    assert get("/usage-events", urlencode({"customerAlias": values}, doseq=True)) == []


@patient
@given(TEXTS.filter(lambda text: "%" not in text and (not text.isascii() or set(text) & set(' +/?"<>{}'))))
def test_any_list_value_without_encoding_is_reported(value):
    assert get("/usage-metrics", urlencode({"eventType": value})) != []
    assert get("/usage-events", urlencode({"eventType": value})) == []


@patient
@given(st.dictionaries(TEXTS, JSON, max_size=6), st.booleans())
def test_any_json_passes_as_properties(properties, ascii_only):
    event = NEW_USAGE_EVENT | {"eventProperties": properties}
    assert post("/usage-events", json.dumps(event, ensure_ascii=ascii_only).encode()) == []


def test_any_json_number_passes():
    for number in (b"-0", b"1E+3", b"123456789012345678901234567890.123456789", b"1e400"):
        assert post("/usage-events", EVENT.replace(b"20.5", number)) == []


def test_error_answer_may_have_any_body():
    for status in (400, 401, 403, 429, 500, 502, 503, 504):
        assert answer("GET /usage-events", b"<html>", status, {"Content-Type": "text/html"}) == []
        assert answer("GET /usage-events", b"", status, {}) == []
        assert answer("GET /usage-events", {"errors": [1]}, status) == []
    assert check_answer("GET", "/nothing", 404, {}, b"") == []


@pytest.mark.parametrize(
    ("name", "status", "words"),
    [
        ("GET /usage-events", 418, "status: expected one of"),
        ("GET /usage-events", 404, "status: expected one of"),
        ("GET /invoices/{id}/line-items", 404, "status: expected one of"),
        ("GET /usage-events", 201, "status: expected one of"),
        ("POST /usage-events", 200, "status: expected one of"),
    ],
)
def test_undocumented_status_is_reported(name, status, words):
    assert_one(answer(name, status=status), f"{name} -> {status}: {words}", "400, 401")


@pytest.mark.parametrize(
    "documented_or_inferred",
    [
        "GET /customers/{id}/aliases",
        "GET /invoices/{id}/currency-conversions",
        "GET /seat-events/{id}",
        "GET /usage-metrics/{id}/calculate",
    ],
)
def test_missing_id_may_be_answered_404(documented_or_inferred):
    assert answer(documented_or_inferred, status=404) == []


def test_success_of_an_unknown_call_is_reported():
    assert_one(check_answer("GET", "/nothing", 200, ANSWER_HEADERS, b"{}"), "expected an error", "200")


def test_missing_answer_header_is_reported():
    for header in ("Content-Type", "Sequence-Version"):
        rest = {key: value for key, value in ANSWER_HEADERS.items() if key != header}
        assert_one(answer("GET /usage-events", headers=rest), f"header {header}", "missing")


@pytest.mark.parametrize(
    ("header", "value", "status"),
    [("Content-Type", "text/html", 201), ("Sequence-Version", "latest", 400), ("Retry-After", "soon", 429)],
)
def test_wrong_answer_header_is_reported(header, value, status):
    told = answer("POST /usage-events", status=status, headers=ANSWER_HEADERS | {header: value})
    assert_one(told, f"POST /usage-events -> {status}: header {header}", value)


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"", 200, "body: expected JSON"),
        (b'"done"', 200, "body field (whole body): expected object"),
        (b"<html>", 500, "body: expected JSON"),
        (encoded(page(USAGE_EVENT)).replace(b"20.5", b"NaN"), 200, "got NaN"),
    ],
)
def test_answer_that_is_no_json_object_is_reported(body, status, words):
    assert_one(answer("GET /usage-events", body, status), f"GET /usage-events -> {status}: ", words)


@pytest.mark.parametrize(
    ("name", "place", "new", "words"),
    [
        ("POST /usage-events", ("id",), ABSENT, "'id', but missing"),
        ("POST /usage-events", ("eventTimestamp",), "yesterday", "ISO 8601"),
        ("GET /usage-events", ("pagination",), ABSENT, "'pagination', but missing"),
        ("GET /usage-events", ("pagination", "totalResultSize"), 2**63, "maximum"),
        ("GET /usage-events", ("items", 0, "customerAlias"), 5, "items.0.customerAlias: expected string"),
        ("GET /usage-metrics", ("items", 0, "parameters", 0, "name"), ABSENT, "items.0.parameters.0"),
        ("GET /usage-metrics", ("items", 0, "aggregationType"), "MAX", "COUNT, UNIQUE, SUM, CUSTOM"),
        ("GET /usage-metrics/{id}/calculate", ("value",), None, "expected number or string"),
    ],
)
def test_wrong_answer_field_is_reported(name, place, new, words):
    status, content = ANSWERS[name]
    assert_one(answer(name, changed(content, place, new)), f"{name} -> {status}: body field", words)


def test_page_of_more_than_100_items_is_reported():
    assert answer("GET /usage-events", page(*[USAGE_EVENT] * 100)) == []
    assert_one(answer("GET /usage-events", page(*[USAGE_EVENT] * 101)), "body field items", "maxItems 100")


def test_each_way_to_end_a_list_passes():
    for pagination in (
        {},
        {"after": None, "before": None, "totalResultSize": None},
        {"after": "", "totalResultSize": 0},
        {"before": "bGFzdA", "totalResultSize": 2**63 - 1, "next": "more"},
    ):
        assert answer("GET /usage-events", {"items": [], "pagination": pagination}) == []


OPTIONAL = {
    *("description", "aggregationProperty", "groupingProperty", "unit"),
    *("createdAt", "deletedAt", "caseSensitive", "propertiesToNegate"),
}


@pytest.mark.parametrize("item", [USAGE_EVENT, SEAT_EVENT, USAGE_METRIC, METRIC_VALUE])
def test_each_missing_field_of_an_answer_is_reported_unless_optional(item):
    for name, (_, content) in ANSWERS.items():
        for field in item:
            if content == item:
                told = answer(name, changed(item, (field,), ABSENT))
            elif content.get("items") == [item]:
                told = answer(name, page(item, changed(item, (field,), ABSENT)))
            else:
                continue
            assert bool(told) == (field not in OPTIONAL), (name, field)


def paths(value, way=()):
    """Yield the way to every field of an example."""
    members = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for step, member in members:
        yield (*way, step)
        yield from paths(member, (*way, step))


@pytest.mark.parametrize(
    "name", ["POST /usage-events", "GET /usage-events", "POST /seat-events", "GET /usage-metrics"]
)
def test_each_field_of_another_type_is_reported(name):
    content = ANSWERS[name][1]
    another = {str: 5, int: "5", float: [1], bool: "true", dict: [], list: {}}
    for path in paths(content):
        if {"eventProperties", "propertyFilters"} & set(path[:-1]):
            continue
        place = content
        for step in path:
            place = place[step]
        told = answer(name, changed(content, path, another[type(place)]))
        assert_one(told, f"body field {'.'.join(map(str, path))}: expected")


def test_answer_of_a_plain_list_is_held_against_its_published_fields():
    _, content = ANSWERS["GET /quotes"]
    place = ("items", 0, "quoteNumber")
    assert_one(answer("GET /quotes", changed(content, place, ABSENT)), "'quoteNumber', but missing")
    assert_one(answer("GET /quotes", changed(content, place, 5)), "quoteNumber: expected string")
    assert answer("GET /quotes", changed(content, ("items", 0, "title"), ABSENT)) == []
    assert answer("POST /usage-events", USAGE_EVENT | {"customerAlias": ""}) == []
