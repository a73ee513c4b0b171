"""What the sandbox refuses, and how."""

from __future__ import annotations

import pytest

from tests.contract.contract import load
from tests.contract.examples import ABSENT, BODY_HEADERS, NEW_SEAT_EVENT, NEW_USAGE_EVENT, changed, described

JSON = {"Content-Type": BODY_HEADERS["Content-Type"]}


@pytest.fixture
def wrong(server):
    """A server that is called wrongly on purpose; its answers are still held to the contract."""
    server.check(check_requests=False)
    return server


every_call = pytest.mark.parametrize("name", [endpoint.name for endpoint in load().endpoints])


@every_call
@pytest.mark.parametrize(
    "auth", [("key", "wrong-7f3a"), ("wrong-7f3a", "secret"), ("key", ""), lambda request: request]
)
def test_unknown_credentials(wrong, name, auth):
    method, path = described(name)
    answer = wrong.call(method, path, auth=auth)
    assert answer.status_code == 401
    assert "wrong-7f3a" not in answer.text


@every_call
def test_an_unknown_version(wrong, name):
    method, path = described(name)
    answer = wrong.call(method, path, headers={"Sequence-Version": "2099-01-01"})
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "UnrecognisedApiVersion"
    assert answer.json()["error"]["message"]


@pytest.mark.parametrize("version", ["2024-01-01", "2024-05-09", "2024-07-30"])
def test_an_answer_says_which_version_served_it(wrong, version):
    answer = wrong.call("GET", "/usage-events", headers={"Sequence-Version": version})
    assert (answer.status_code, answer.headers["Sequence-Version"]) == (200, version)


def test_without_a_version_a_known_one_serves(wrong):
    answer = wrong.call("GET", "/usage-events", headers={"Sequence-Version": None})
    assert (answer.status_code, answer.headers["Sequence-Version"]) == (200, "2024-07-30")


@pytest.mark.parametrize(
    "path", ["/usage-event", "/seat-events/a/b", "/usage-metrics/abc", "/usage-events/abc"]
)
def test_a_path_that_is_not_there(wrong, path):
    assert wrong.call("GET", path).status_code == 404
    assert wrong.call("POST", path, json=NEW_USAGE_EVENT).status_code in {404, 405}


@pytest.mark.parametrize(
    ("path", "body", "field", "new"),
    [
        *(("/usage-events", NEW_USAGE_EVENT, field, ABSENT) for field in ("customerAlias", "eventType")),
        *(
            ("/usage-events", NEW_USAGE_EVENT, field, 5)
            for field in ("customerAlias", "eventType", "customerEventId")
        ),
        ("/usage-events", NEW_USAGE_EVENT, "eventTimestamp", "yesterday"),
        ("/usage-events", NEW_USAGE_EVENT, "eventTimestamp", "2024-02-30T00:00:00Z"),
        ("/usage-events", NEW_USAGE_EVENT, "eventProperties", [1]),
        ("/usage-events", NEW_USAGE_EVENT, "eventProperties", "text"),
        *(
            ("/seat-events", NEW_SEAT_EVENT, field, ABSENT)
            for field in ("customerAlias", "seatType", "eventTimestamp", "total")
        ),
        *(("/seat-events", NEW_SEAT_EVENT, "total", total) for total in ("12", 1.5, None, True)),
        ("/seat-events", NEW_SEAT_EVENT, "seatType", 5),
    ],
)
def test_a_body_that_is_wrong_in_one_place(wrong, path, body, field, new):
    assert wrong.call("POST", path, json=changed(body, (field,), new)).status_code == 400
    assert wrong.call("GET", path).json()["items"] == []


@pytest.mark.parametrize("path", ["/usage-events", "/seat-events", "/customer-aliases"])
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"5", b'{"a": NaN}', b"\xff"])
def test_a_body_that_is_no_json_object(wrong, path, body):
    assert wrong.call("POST", path, data=body, headers=JSON).status_code == 400


@pytest.mark.parametrize(
    ("path", "query"),
    [
        *(
            (path, f"limit={limit}")
            for path in ("/usage-events", "/seat-events", "/usage-metrics")
            for limit in (0, 101)
        ),
        ("/usage-events", "limit=ten"),
        ("/usage-events", "after=nonsense"),
        ("/usage-events", "sortOrder=SIDEWAYS"),
        ("/usage-events", "unmappedAliasesOnly=perhaps"),
        ("/usage-events", "eventTimestampAfter=yesterday"),
        ("/seat-events", "eventTimestampBefore=yesterday"),
        ("/seat-events", "customerIds=" + ",".join(map(str, range(26)))),
    ],
)
def test_a_query_that_is_wrong(wrong, path, query):
    assert wrong.call("GET", path, params=query).status_code == 400


@pytest.mark.parametrize("shape", ["error", "errors", "text", "html", "empty"])
def test_every_shape_of_a_refusal(wrong, shape):
    wrong.settings(error_body=shape)
    assert wrong.call("GET", "/usage-events", params="limit=0").status_code == 400
    assert wrong.call("GET", "/usage-events", auth=("key", "wrong")).status_code == 401
    assert wrong.call("GET", "/seat-events/nothing").status_code == 404
    wrong.settings(requests_per_minute=1)
    assert [wrong.call("GET", "/usage-events").status_code for _ in range(2)][-1] == 429
    assert wrong.findings()["checked_answers"] == 5


@pytest.mark.parametrize("notation", ["seconds", "date", "none"])
def test_too_many_events(server, notation):
    server.settings(usage_events_per_minute=2, retry_after=notation)
    bodies = [changed(NEW_USAGE_EVENT, ("customerEventId",), str(number)) for number in range(4)]
    answers = [server.call("POST", "/usage-events", json=body) for body in bodies]
    assert [answer.status_code for answer in answers] == [201, 201, 429, 429]
    assert all(("Retry-After" in answer.headers) == (notation != "none") for answer in answers[2:])
    items = server.call("GET", "/usage-events").json()["items"]  # has a budget of its own
    assert sorted(item["customerEventId"] for item in items) == ["0", "1"]


def test_too_many_of_all_else(server):
    server.settings(requests_per_minute=2)
    answers = [server.call("GET", path) for path in ("/usage-events", "/seat-events", "/usage-metrics")]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert server.call("POST", "/seat-events", json=NEW_SEAT_EVENT).status_code == 429
    assert server.call("POST", "/usage-events", json=NEW_USAGE_EVENT).status_code == 201


def test_a_conflict(server):
    server.add("customers", [{"id": "customer-1"}])
    body = {"customerId": "customer-1", "value": "acme"}
    assert server.call("POST", "/customer-aliases", json=body).status_code == 201
    assert server.call("POST", "/customer-aliases", json=body).status_code == 409
    assert len(server.call("GET", "/customer-aliases", params={"value": "acme"}).json()["items"]) == 1
