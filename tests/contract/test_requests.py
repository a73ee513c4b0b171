"""Each rule for a request: a right one passes, and one that is wrong in one place is told about that place."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.contract.contract import check_request, load
from tests.contract.examples import (
    ABSENT,
    BODY_HEADERS,
    NEW_USAGE_EVENT,
    QUERIES,
    REQUEST_HEADERS,
    REQUESTS,
    changed,
    described,
    encoded,
    patient,
)

METRIC = "/usage-metrics/7c0a2a38-3f2e-4a6e-9b4c-0c6f3a6c1c11/calculate"
PERIOD = "periodStart=2024-03-01&periodEnd=2024-03-31"
ONE_THING = {"GET /seat-events/{id}", "GET /usage-metrics/{id}/calculate"}
WITHOUT_UNKNOWN_FILTERS = {"GET /usage-events", "GET /usage-metrics", "GET /seat-events"}

OF_UNKNOWN_ORDER = {"GET /seat-balances", "GET /customers/{id}/aliases"}


def get(path, query=""):
    return check_request("GET", path, query, REQUEST_HEADERS, b"")


def post(path, body, headers=BODY_HEADERS):
    return check_request("POST", path, "", headers, body if isinstance(body, bytes) else encoded(body))


def one(problems, *words):
    """The only problem, which says all of these words."""
    assert len(problems) == 1, problems
    assert [word for word in words if word not in problems[0]] == [], problems[0]


@pytest.mark.parametrize("endpoint", load().endpoints, ids=lambda endpoint: endpoint.name)
def test_a_right_request_passes(endpoint):
    method, path = described(endpoint.name)
    query = QUERIES.get(endpoint.name, "")
    if endpoint.request is None:
        assert check_request(method, path, query, REQUEST_HEADERS, b"") == []
    else:
        assert check_request(method, path, query, BODY_HEADERS, encoded(REQUESTS[endpoint.name])) == []


def test_bytes_and_pairs_are_read_like_text_and_mappings():
    pairs = [(name.lower().encode(), value.encode()) for name, value in REQUEST_HEADERS.items()]
    assert check_request("GET", "/usage-events", b"limit=5", pairs, b"") == []
    one(
        check_request("GET", "/usage-events", b"limit=0", pairs, b""),
        "GET /usage-events",
        "limit",
        "1",
        "100",
    )


@pytest.mark.parametrize(
    ("method", "path", "word"),
    [
        ("GET", "/usage-event", "nothing is described"),
        ("GET", "/usage-events/", "nothing is described"),
        ("GET", "//usage-events", "nothing is described"),
        ("GET", "", "nothing is described"),
        ("GET", "/api/usage-events", "nothing is described"),
        ("GET", "/Usage-Events", "nothing is described"),
        ("GET", "/seat-events/a/b", "nothing is described"),
        ("GET", "/seat-events/a%zz", "nothing is described"),
        ("GET", "/seat-events/{id}", "nothing is described"),
        ("GET", "/usage-metrics//calculate", "nothing is described"),
        ("PUT", "/usage-events", "GET and POST"),
        ("DELETE", "/usage-events", "GET and POST"),
        ("PATCH", "/seat-events/abc", "takes GET"),
        ("POST", "/usage-metrics", "takes GET"),
    ],
)
def test_a_call_that_the_api_does_not_have(method, path, word):
    one(check_request(method, path, "", BODY_HEADERS, b""), f"{method} {path}", word)


@pytest.mark.parametrize("name", ["Authorization", "Sequence-Version", "User-Agent", "Content-Type"])
def test_a_header_that_is_missing(name):
    headers = {key: value for key, value in BODY_HEADERS.items() if key != name}
    one(post("/usage-events", NEW_USAGE_EVENT, headers), "POST /usage-events", f"header {name}", "missing")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("Authorization", "Bearer abc", "Basic"),
        ("Authorization", "Basic " + base64.b64encode(b"id:").decode(), "neither of them empty"),
        ("Authorization", "Basic " + base64.b64encode(b":secret").decode(), "neither of them empty"),
        ("Sequence-Version", "2024-01-01", "2024-07-30"),
        ("Sequence-Version", "2024-05-09", "2024-07-30"),
        ("Sequence-Version", "2099-01-01", "2024-07-30"),
        ("Sequence-Version", "", "2024-07-30"),
        ("User-Agent", "", "not empty"),
        ("Content-Type", "text/plain", "application/json"),
        ("Content-Type", "application/x-www-form-urlencoded", "application/json"),
        ("Idempotency-Key", " ", "not empty"),
    ],
)
def test_a_header_that_is_wrong(name, value, words):
    told = post("/usage-events", NEW_USAGE_EVENT, BODY_HEADERS | {name: value})
    one(told, "POST /usage-events", f"header {name}", words)


def test_credentials_are_not_repeated():
    told = check_request(
        "GET", "/usage-events", "", REQUEST_HEADERS | {"Authorization": "Basic c2VjcmV0"}, b""
    )
    one(told, "header Authorization")
    assert "c2VjcmV0" not in told[0]


def test_a_content_type_does_not_matter_where_there_is_no_body():
    assert (
        check_request("GET", "/usage-events", "", REQUEST_HEADERS | {"Content-Type": "text/plain"}, b"") == []
    )


def test_an_idempotency_key():
    headers = BODY_HEADERS | {"Idempotency-Key": "0f6b"}
    assert post("/customer-aliases", REQUESTS["POST /customer-aliases"], headers) == []


RIGHT_QUERIES = [
    ("/usage-events", "limit=1"),
    ("/usage-events", "limit=100"),
    ("/usage-events", "after=MDE4%3D"),
    ("/usage-events", "before=MDE4"),
    ("/usage-events", "after=MDE4&offset=0"),
    ("/usage-events", "before=MDE4&offset=200"),
    ("/usage-events", "sortOrder=ASC"),
    ("/usage-events", "sortOrder=DESC&sortBy=eventTimestamp"),
    ("/usage-events", "customerAlias=a"),
    ("/usage-events", "customerAlias=a&customerAlias=b%2Cc"),
    ("/usage-events", "unmappedAliasesOnly=true"),
    ("/usage-events", "unmappedAliasesOnly=false"),
    ("/usage-events", "eventType=a+b"),
    ("/usage-events", "eventId=0184421a"),
    (
        "/usage-events",
        "eventTimestampAfter=2024-03-01T00%3A00%3A00Z&eventTimestampBefore=2024-04-01T00:00:00.5Z",
    ),
    ("/usage-metrics", "limit=100"),
    ("/usage-metrics", "after=MDE4"),
    ("/usage-metrics", "name=Pages%20of"),
    ("/usage-metrics", "id=7C0A"),
    ("/usage-metrics", "eventType=a"),
    ("/usage-metrics", "eventType=a%2Cb"),
    ("/usage-metrics", "eventType=a%252Cb%2Cc%2520d"),
    ("/usage-metrics", "eventProperty=pages,weight"),
    ("/usage-metrics", "aggregationType=COUNT,UNIQUE,SUM,CUSTOM"),
    ("/seat-events", "customerAlias=a%2Cb"),
    ("/seat-events", "customerIds=" + ",".join(map(str, range(25)))),
    ("/seat-events", "seatType=editor&customerEventId=1&sortOrder=ASC&sortBy=createdAt&limit=7"),
    ("/seat-events", "eventTimestampAfter=2024-03-01T00:00:00Z&eventTimestampBefore=2024-04-01T00:00:00Z"),
    (METRIC, f"customerAliases=a,b&{PERIOD}"),
    (METRIC, f"customerAliases=a&customerAliases=b&{PERIOD}"),
    (METRIC, "customerAliases=a&periodStart=2024-03-01T00:00:00Z&periodEnd=2024-04-01T00:00:00%2B02:00"),
    ("/customer-aliases", "value=acme"),
    ("/customers", "alias=acme&limit=5"),
    ("/invoices", "limit=5&after=x&someFilter=2024-03-01"),
    ("/seat-balances", "customerId=1"),
]


@pytest.mark.parametrize(("path", "query"), RIGHT_QUERIES)
def test_a_query_that_is_right(path, query):
    assert get(path, query) == []


WRONG_QUERIES = [
    ("/usage-events", "limit=0", "limit", "from 1 to 100"),
    ("/usage-events", "limit=101", "limit", "from 1 to 100"),
    ("/usage-events", "limit=-1", "limit", "from 1 to 100"),
    ("/usage-events", "limit=ten", "limit", "from 1 to 100"),
    ("/usage-events", "limit=1.0", "limit", "from 1 to 100"),
    ("/usage-events", "limit=+5", "limit", "from 1 to 100"),
    ("/usage-events", "limit=05", "limit", "from 1 to 100"),
    ("/usage-events", "limit=", "limit", "expected a value"),
    ("/usage-events", "limit", "limit", "expected a value"),
    ("/usage-events", "limit=5&limit=5", "limit", "expected once, got 2 times"),
    ("/usage-events", "Limit=5", "Limit", "expected one of after, before, limit"),
    ("/usage-events", "after=", "after", "expected a value"),
    ("/usage-events", "after=a&before=b", "after", "without before"),
    ("/usage-events", "offset=1", "offset", "after or before"),
    ("/usage-events", "after=a&offset=-1", "offset", "from 0"),
    ("/usage-events", "sortOrder=desc", "sortOrder", "ASC, DESC"),
    ("/usage-events", "sortOrder=newest", "sortOrder", "ASC, DESC"),
    ("/usage-events", "sortBy=", "sortBy", "expected a value"),
    ("/usage-events", "customerAlias=a&customerAlias=", "customerAlias", "expected a value"),
    ("/usage-events", "unmappedAliasesOnly=True", "unmappedAliasesOnly", "true or false"),
    ("/usage-events", "unmappedAliasesOnly=1", "unmappedAliasesOnly", "true or false"),
    ("/usage-events", "eventType=a&eventType=b", "eventType", "expected once"),
    ("/usage-events", "eventTimestampAfter=2024-03-01", "eventTimestampAfter", "a UTC time"),
    ("/usage-events", "eventTimestampAfter=2024-03-01T00:00:00", "eventTimestampAfter", "a UTC time"),
    (
        "/usage-events",
        "eventTimestampBefore=2024-03-01T00:00:00%2B00:00",
        "eventTimestampBefore",
        "a UTC time",
    ),
    ("/usage-events", "eventTimestampBefore=2024-03-01T00:00:00+00:00", "eventTimestampBefore", "a UTC time"),
    ("/usage-events", "seatType=a", "seatType", "expected one of"),
    ("/usage-events", "customerEventId=a", "customerEventId", "expected one of"),
    ("/usage-events", "createdAfter=2024-03-01T00:00:00Z", "createdAfter", "expected one of"),
    ("/usage-events", "eventType=%zz", "query", "whole percent escapes"),
    ("/usage-events", "eventType=%e", "query", "whole percent escapes"),
    ("/usage-events", "eventType=%FF", "query", "UTF-8"),
    ("/usage-events", "eventType=é", "query", "ASCII"),
    ("/usage-metrics", "sortOrder=ASC", "sortOrder", "expected one of"),
    ("/usage-metrics", "sortBy=name", "sortBy", "expected one of"),
    ("/usage-metrics", "after=a&offset=5", "offset", "expected one of"),
    ("/usage-metrics", "metricType=SIMPLE", "metricType", "expected one of"),
    ("/usage-metrics", "eventType=a&eventType=b", "eventType", "expected once"),
    ("/usage-metrics", "eventType=a%20b", "eventType", "percent-encoded before the commas"),
    ("/usage-metrics", "eventType=a%25", "eventType", "percent-encoded before the commas"),
    ("/usage-metrics", "eventType=a,%2520,c%20d", "eventType", "percent-encoded before the commas"),
    ("/usage-metrics", "eventProperty=a,,b", "eventProperty", "percent-encoded before the commas"),
    ("/usage-metrics", "eventProperty=%25FF", "eventProperty", "UTF-8"),
    ("/usage-metrics", "aggregationType=MAX", "aggregationType", "COUNT, UNIQUE, SUM, CUSTOM"),
    ("/usage-metrics", "aggregationType=SUM,count", "aggregationType", "COUNT, UNIQUE, SUM, CUSTOM"),
    ("/usage-metrics", "aggregationType=SUM,", "aggregationType", "expected a value"),
    ("/seat-events", "customerIds=" + ",".join(map(str, range(26))), "customerIds", "at most 25"),
    ("/seat-events", "customerIds=a&customerIds=b", "customerIds", "expected once"),
    ("/seat-events", "customerIds=a,,b", "customerIds", "expected a value"),
    ("/seat-events", "customerAlias=a&customerAlias=b", "customerAlias", "expected once"),
    ("/seat-events", "after=a&offset=5", "offset", "expected one of"),
    ("/seat-events", "eventType=a", "eventType", "expected one of"),
    ("/seat-events", "unmappedAliasesOnly=true", "unmappedAliasesOnly", "expected one of"),
    ("/seat-events/abc", "limit=5", "limit", "no parameter at all"),
    (METRIC, PERIOD, "customerAliases", "missing"),
    (METRIC, "customerAliases=a&periodStart=2024-03-01", "periodEnd", "missing"),
    (METRIC, "customerAliases=a&periodEnd=2024-03-01", "periodStart", "missing"),
    (METRIC, f"customerAliases=&{PERIOD}", "customerAliases", "expected a value"),
    (METRIC, "customerAliases=a&periodStart=March&periodEnd=2024-03-31", "periodStart", "a date"),
    (METRIC, f"customerAliases=a&{PERIOD}&limit=5", "limit", "expected one of"),
    ("/customer-aliases", "value=", "value", "expected a value"),
    ("/customers", "alias=a&alias=b", "alias", "expected once"),
    ("/invoices", "limit=1000&someFilter=1", "limit", "from 1 to 100"),
]


@pytest.mark.parametrize(("path", "query", "place", "words"), WRONG_QUERIES)
def test_a_query_that_is_wrong_in_one_place(path, query, place, words):
    one(get(path, query), "GET /", f"query parameter {place}:" if place != "query" else "query:", words)


LISTS = [e.name for e in load().endpoints if e.method == "GET" and e.name not in ONE_THING]


@pytest.mark.parametrize("name", LISTS)
def test_every_list_has_pages(name):
    _, path = described(name)
    for query in ("limit=1&after=x", "limit=100&before=x"):
        assert get(path, query) == []
    for query, place in (
        ("limit=0", "limit"),
        ("after=", "after"),
        ("before=", "before"),
        ("limit=101", "limit"),
    ):
        one(get(path, query), name, f"query parameter {place}:")


@pytest.mark.parametrize("name", LISTS)
def test_filters_that_no_page_names_pass_where_there_are_such(name):
    _, path = described(name)
    told = get(path, "filterOfNextYear=2024-03-31")
    if name in WITHOUT_UNKNOWN_FILTERS:
        one(told, name, "filterOfNextYear", "expected one of")
    else:
        assert told == []


@pytest.mark.parametrize("name", [name for name in LISTS if name not in OF_UNKNOWN_ORDER])
def test_an_order(name):
    _, path = described(name)
    if name == "GET /usage-metrics":
        one(get(path, "sortOrder=ASC"), "sortOrder", "expected one of")
    else:
        one(get(path, "sortOrder=UP"), "sortOrder", "ASC, DESC")
        one(get(path, "sortBy="), "sortBy", "expected a value")


def test_all_required_parameters_are_told_of_where_there_is_no_query():
    assert len(get(METRIC)) == 3


def test_a_query_with_a_body_of_a_call_that_takes_none():
    one(
        check_request("GET", "/usage-events", "", BODY_HEADERS, b"{}"),
        "GET /usage-events",
        "body: expected none",
    )
    told = check_request("POST", "/usage-events", "limit=5", BODY_HEADERS, encoded(NEW_USAGE_EVENT))
    one(told, "POST /usage-events", "limit", "no parameter at all")


@patient
@given(st.integers())
def test_limits(limit):
    told = get("/seat-events", f"limit={limit}")
    if 1 <= limit <= 100:
        assert told == []
    else:
        one(told, "limit", "from 1 to 100")


TEXTS = st.text(st.characters(codec="utf-8"), min_size=1)


@patient
@given(st.lists(TEXTS, min_size=1))
def test_any_values_pass_where_each_is_encoded_before_the_commas(values):
    for name in ("eventType", "eventProperty"):
        assert (
            get("/usage-metrics", urlencode({name: ",".join(quote(value, safe="") for value in values)}))
            == []
        )


@patient
@given(TEXTS.filter(lambda text: not text.isascii() or set(text) & set(' %+/?"<>{}')))
def test_values_that_are_not_encoded_on_their_own_are_noticed(value):
    told = get("/usage-metrics", urlencode({"eventType": value}))
    if "%" not in value:  # "%41" by itself may be either
        assert told != []
    assert get("/usage-events", urlencode({"eventType": value})) == []


@patient
@given(st.lists(TEXTS, min_size=1))
def test_any_aliases_pass_as_a_repeated_parameter(aliases):
    assert get("/usage-events", urlencode({"customerAlias": aliases}, doseq=True)) == []


WRONG_BODIES = [
    ("/usage-events", ("customerAlias",), ABSENT, "customerAlias", "missing"),
    ("/usage-events", ("eventType",), ABSENT, "eventType", "missing"),
    ("/usage-events", ("customerEventId",), ABSENT, "customerEventId", "missing"),
    ("/usage-events", ("customerAlias",), None, "customerAlias", "expected string"),
    ("/usage-events", ("customerAlias",), 5, "customerAlias", "expected string"),
    ("/usage-events", ("customerAlias",), "", "customerAlias", "minLength 1"),
    ("/usage-events", ("eventType",), ["a"], "eventType", "expected string"),
    ("/usage-events", ("eventType",), "", "eventType", "minLength 1"),
    ("/usage-events", ("customerEventId",), 17, "customerEventId", "expected string"),
    ("/usage-events", ("customerEventId",), None, "customerEventId", "expected string"),
    ("/usage-events", ("customerEventId",), "", "customerEventId", "minLength 1"),
    ("/usage-events", ("eventTimestamp",), "2024-03-31", "eventTimestamp", "a UTC time"),
    ("/usage-events", ("eventTimestamp",), "2024-03-31T23:59:59", "eventTimestamp", "a UTC time"),
    ("/usage-events", ("eventTimestamp",), "2024-03-31T23:59:59+00:00", "eventTimestamp", "a UTC time"),
    ("/usage-events", ("eventTimestamp",), "2024-02-30T00:00:00Z", "eventTimestamp", "a UTC time"),
    ("/usage-events", ("eventTimestamp",), 1711929599, "eventTimestamp", "expected string"),
    ("/usage-events", ("eventTimestamp",), None, "eventTimestamp", "expected string"),
    ("/usage-events", ("eventProperties",), None, "eventProperties", "expected object"),
    ("/usage-events", ("eventProperties",), [1], "eventProperties", "expected object"),
    ("/usage-events", ("eventProperties",), '{"pages": 3}', "eventProperties", "expected object"),
    ("/usage-events", ("id",), "x", "(whole body)", "'id'"),
    ("/usage-events", ("customer_alias",), "x", "(whole body)", "'customer_alias'"),
    ("/usage-events", ("total",), 1, "(whole body)", "'total'"),
    ("/seat-events", ("customerAlias",), ABSENT, "customerAlias", "missing"),
    ("/seat-events", ("seatType",), ABSENT, "seatType", "missing"),
    ("/seat-events", ("eventTimestamp",), ABSENT, "eventTimestamp", "missing"),
    ("/seat-events", ("total",), ABSENT, "total", "missing"),
    ("/seat-events", ("customerEventId",), ABSENT, "customerEventId", "missing"),
    ("/seat-events", ("customerAlias",), "", "customerAlias", "minLength 1"),
    ("/seat-events", ("customerEventId",), "", "customerEventId", "minLength 1"),
    ("/seat-events", ("seatType",), "", "seatType", "minLength 1"),
    ("/seat-events", ("seatType",), 5, "seatType", "expected string"),
    ("/seat-events", ("eventTimestamp",), "2024-03-31T23:59:59+02:00", "eventTimestamp", "a UTC time"),
    ("/seat-events", ("total",), "12", "total", "expected integer"),
    ("/seat-events", ("total",), 12.0, "total", "expected integer"),
    ("/seat-events", ("total",), 12.5, "total", "expected integer"),
    ("/seat-events", ("total",), True, "total", "expected integer"),
    ("/seat-events", ("total",), -1, "total", "minimum 0"),
    ("/seat-events", ("eventProperties",), {}, "(whole body)", "'eventProperties'"),
    ("/seat-events", ("eventType",), "x", "(whole body)", "'eventType'"),
    ("/customer-aliases", ("customerId",), ABSENT, "customerId", "missing"),
    ("/customer-aliases", ("value",), ABSENT, "value", "missing"),
    ("/customer-aliases", ("customerId",), "", "customerId", "minLength 1"),
    ("/customer-aliases", ("value",), "", "value", "minLength 1"),
    ("/customer-aliases", ("value",), 5, "value", "expected string"),
    ("/customer-aliases", ("label",), None, "label", "expected string"),
    ("/customer-aliases", ("alias",), "x", "(whole body)", "'alias'"),
]


@pytest.mark.parametrize(("path", "place", "new", "field", "words"), WRONG_BODIES)
def test_a_body_that_is_wrong_in_one_place(path, place, new, field, words):
    told = post(path, changed(REQUESTS[f"POST {path}"], place, new))
    one(told, f"POST {path}: body field", field, words)


@pytest.mark.parametrize("field", ["eventTimestamp", "eventProperties"])
def test_what_may_be_left_out_of_a_usage_event(field):
    assert post("/usage-events", changed(NEW_USAGE_EVENT, (field,), ABSENT)) == []


def test_what_may_be_left_out_of_an_alias():
    assert post("/customer-aliases", changed(REQUESTS["POST /customer-aliases"], ("label",), ABSENT)) == []


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "expected JSON"),
        (b"customerAlias=acme", "expected JSON"),
        (b'{"customerAlias": ', "expected JSON"),
        (b"\xef\xbb\xbf{}", "expected JSON"),
        (b'{"customerAlias": "caf\xe9"}', "expected UTF-8"),
        (json.dumps(NEW_USAGE_EVENT).encode("utf-16"), "expected UTF-8"),
        (b"[" * 100_000, "expected JSON"),
        (encoded([NEW_USAGE_EVENT]), "expected object"),
        (b"null", "expected object"),
        (encoded(NEW_USAGE_EVENT).replace(b"20.5", b"NaN"), "got NaN"),
        (encoded(NEW_USAGE_EVENT).replace(b"20.5", b"Infinity"), "got Infinity"),
        (encoded(NEW_USAGE_EVENT).replace(b"20.5", b"-Infinity"), "got -Infinity"),
        (encoded(NEW_USAGE_EVENT).replace(b"20.5", b"020.5"), "expected JSON"),
        (encoded(NEW_USAGE_EVENT).replace(b"20.5", b".5"), "expected JSON"),
        (encoded(NEW_USAGE_EVENT).replace(b'"weight"', b'"pages"'), "'pages' twice"),
        (encoded(NEW_USAGE_EVENT).replace(b"acme", rb"\ud83d"), "half of a surrogate pair"),
        (encoded(NEW_USAGE_EVENT).replace(b"letter", rb"\ude00\ud83d"), "half of a surrogate pair"),
    ],
)
def test_a_body_that_is_no_json_object(body, words):
    one(post("/usage-events", body), "POST /usage-events", "body", words)


def test_several_problems_are_all_told():
    body = changed(changed(NEW_USAGE_EVENT, ("eventType",), 5), ("eventTimestamp",), "today")
    headers = {name: value for name, value in BODY_HEADERS.items() if name != "Sequence-Version"}
    told = check_request("POST", "/usage-events", "x=1", headers, encoded(body))
    places = (
        "header Sequence-Version",
        "query parameter x",
        "body field eventType",
        "body field eventTimestamp",
    )
    assert len(told) == 4
    assert all(any(place in problem for problem in told) for place in places)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4)
    ),
    max_leaves=12,
)


@patient
@given(st.dictionaries(st.text(st.characters(codec="utf-8")), JSON, max_size=6), st.booleans())
def test_properties_may_be_any_json(properties, ascii_only):
    event = NEW_USAGE_EVENT | {"eventProperties": properties}
    assert post("/usage-events", json.dumps(event, ensure_ascii=ascii_only).encode()) == []


@pytest.mark.parametrize(
    "number", ["0", "-0", "1E+3", "0.1", "123456789012345678901234567890.123456789", "1e400"]
)
def test_any_json_number_passes(number):
    assert post("/usage-events", encoded(NEW_USAGE_EVENT).replace(b"20.5", number.encode())) == []
