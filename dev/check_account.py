"""
Check of the assumptions about the API against a live account, by reading.

    SEQUENCE_CLIENT_ID=… SEQUENCE_CLIENT_SECRET=… python -m dev.check_account

It sends GET requests only, and none of the client's code is in between. It prints one line for each assumption of
airflow_provider_sequence/api/assumptions.py that reading can settle: what was seen, and whether the client takes or
handles that. It never prints what it read, nor the credentials.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import datetime as dt
import os
import re
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import requests

from airflow_provider_sequence.api.assumptions import ASSUMPTIONS

PRODUCTION = "https://eu.sequencehq.com/api"
VERSION = "2024-07-30"
#: The most requests of a run, and the seconds between two of them.
MAX_REQUESTS, INTERVAL = 60, 0.5
#: Seconds after which a cursor is used again.
CURSOR_AGE = 30.0
PAGE = 100

Item = Mapping[str, Any]
Params = list[tuple[str, str]]

_UNKNOWN_ID = "00000000-0000-4000-8000-000000000000"
_SECOND = dt.timedelta(seconds=1)


class CannotTellError(Exception):
    """The account does not show how the API behaves; the reason has no data in it."""


class StopError(Exception):
    """The run can't go on; the reason has no data in it."""


class RefusedError(CannotTellError):
    """A request got a status that is no success."""

    def __init__(self, status: int) -> None:
        super().__init__(f"a request was answered {status}")
        self.status = status


@dataclass(frozen=True)
class Finding:
    """
    Result of a check.

    :param seen: how the API behaves; no data of the account.
    :param fits: whether the client takes or handles that.
    """

    seen: str
    fits: bool = True


class ReadOnlySession(requests.Session):
    """Session that refuses to send anything but GET, and anything to another address than the API's."""

    def __init__(self, base_url: str) -> None:
        super().__init__()
        self._base_url = base_url

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Send a GET request; :raises StopError: if it is another one."""
        if request.method != "GET" or not (request.url or "").startswith(self._base_url + "/"):
            raise StopError("only GET requests to the API are sent")
        return super().send(request, **kwargs)


class Account:
    """
    The account that is checked.

    :param base_url: the API's base URL.
    :param credentials: id and secret of the API client.
    :param interval: seconds between two requests.
    :param cursor_age: seconds after which a cursor is used again.
    """

    def __init__(
        self,
        base_url: str,
        credentials: tuple[str, str],
        *,
        interval: float = INTERVAL,
        cursor_age: float = CURSOR_AGE,
    ) -> None:
        self.cursor_age = cursor_age
        self.requests = 0
        self._base_url = base_url.rstrip("/")
        self._interval = interval
        self._next = 0.0
        self._session = ReadOnlySession(self._base_url)
        self._session.auth = credentials
        self._session.headers["Sequence-Version"] = VERSION
        self._answers: dict[tuple[str, tuple[tuple[str, str], ...]], requests.Response] = {}

    def response(self, path: str, params: Params, *, again: bool = False) -> requests.Response:
        """
        Response to a request, whatever its status; the same request is sent once.

        :param again: send it even so.
        :raises StopError: if the run can't go on.
        """
        key = (path, tuple(params))
        if again or key not in self._answers:
            if self.requests == MAX_REQUESTS:
                raise CannotTellError(f"the {MAX_REQUESTS} requests of a run are used up")
            time.sleep(max(0.0, self._next - time.monotonic()))
            self._next = time.monotonic() + self._interval
            self.requests += 1
            try:
                response = self._session.get(
                    self._base_url + path, params=params, timeout=30, allow_redirects=False
                )
            except requests.RequestException as e:
                # The text of the error has the URL in it, and so perhaps an alias.
                raise StopError(f"no response from the API: {type(e).__name__}") from None
            if response.status_code == 401:
                raise StopError("the API refuses the credentials (401)")
            if response.status_code == 429:
                raise StopError("the account's limit is used up (429); try again in some minutes")
            self._answers[key] = response
        return self._answers[key]

    def get(self, path: str, *params: tuple[str, str], again: bool = False) -> dict[str, Any]:
        """JSON object of a response; :raises RefusedError: if it is no success."""
        response = self.response(path, list(params), again=again)
        if response.status_code != 200:
            raise RefusedError(response.status_code)
        try:
            content = response.json()
        except requests.JSONDecodeError:
            content = None
        if not isinstance(content, dict):
            raise CannotTellError("a response is no JSON object")
        return content

    def page(self, path: str, *params: tuple[str, str], again: bool = False) -> dict[str, Any]:
        """Page of a list, the largest there is."""
        content = self.get(path, ("limit", str(PAGE)), *params, again=again)
        if not isinstance(content.get("items"), list) or not isinstance(content.get("pagination"), dict):
            raise CannotTellError("a list has no items or no pagination")
        return content

    def sample(self, path: str) -> list[Item]:
        """The newest items of a list; :raises CannotTellError: if there are none."""
        items: list[Item] = self.page(path)["items"]
        if not items:
            raise CannotTellError(f"{path} has no items")
        return items

    def gives(self, path: str, item: Item, *params: tuple[str, str]) -> bool:
        """
        Whether a list gives an item of its sample under these filters.

        :raises CannotTellError: if it may have been pushed off the first page by newer items.
        """
        ids = [other["id"] for other in self.page(path, *params)["items"]]
        if item["id"] in ids:
            return True
        sample = [other["id"] for other in self.sample(path)]
        older = sample[sample.index(item["id"]) + 1 :]
        if len(ids) == PAGE and not set(ids) & set(older):
            raise CannotTellError("too many events arrive")
        return False

    def event(self, what: str, wanted: Callable[[Item], bool]) -> Item:
        """One of the newest usage events; :raises CannotTellError: if none is as wanted."""
        for item in self.sample("/usage-events"):
            if wanted(item):
                return item
        raise CannotTellError(f"none of the newest usage events {what}")


Check = Callable[[Account], Finding]
#: The checks by the names of the assumptions.
CHECKS: dict[str, Check] = {}


def check(name: str) -> Callable[[Check], Check]:
    """Register a check under the name of its assumption."""

    def register(function: Check) -> Check:
        CHECKS[name] = function
        return function

    return register


@check("window-bounds")
def window_bounds(account: Account) -> Finding:
    event = account.event("is at a whole second", lambda item: not _time(item).microsecond)
    time = _time(event)
    after = account.gives("/usage-events", event, *_between(time, time + 2 * _SECOND))
    before = account.gives("/usage-events", event, *_between(time - 2 * _SECOND, time))
    return Finding(f"after {_bound(after)}, before {_bound(before)}")


@check("filter-precision")
def filter_precision(account: Account) -> Finding:
    event = account.event("has a fraction of a second", lambda item: 0 < _time(item).microsecond < 998_000)
    time = _time(event)
    end = time.replace(microsecond=0) + 3 * _SECOND
    try:
        cut = account.gives("/usage-events", event, *_between(time + dt.timedelta(milliseconds=1), end))
    except RefusedError as e:
        return Finding(f"fractions of a second are refused ({e.status})")
    return Finding("cut to whole seconds" if cut else "fractions of a second count")


@check("window-time")
def window_time(account: Account) -> Finding:
    def late(item: Item) -> bool:
        arrived = _arrival(item["id"])
        return arrived is not None and abs(arrived - _time(item)) > dt.timedelta(days=1)

    event = account.event("arrived on another day than its own, by its id", late)
    time = _time(event).replace(microsecond=0)
    own = account.gives("/usage-events", event, *_between(time - _SECOND, time + 2 * _SECOND))
    return Finding("the event's own timestamp" if own else "another time", own)


@check("date-bounds")
def date_bounds(account: Account) -> Finding:
    for invoice in account.sample("/invoices"):
        if due := invoice.get("dueDate"):
            break
    else:
        raise CannotTellError("none of the newest invoices has a due date")
    day = dt.date.fromisoformat(due[:10])
    earlier, later = (str(day + dt.timedelta(days=days)) for days in (-2, 2))
    after = account.gives("/invoices", invoice, ("dueAfter", str(day)), ("dueBefore", later))
    before = account.gives("/invoices", invoice, ("dueAfter", earlier), ("dueBefore", str(day)))
    return Finding(f"after {_bound(after)}, before {_bound(before)}")


@check("list-ends")
def list_ends(account: Account) -> Finding:
    for path in ("/usage-metrics", "/users", "/sequence-accounts"):
        first = page = account.page(path)
        before = _edge(account, path, first, "before")
        for _ in range(4):
            after = _edge(account, path, page, "after")
            if not page["items"]:
                break
            if after != "a cursor to items":
                return Finding(f"after: {after}; before: {before}", before != "a cursor to items")
            page = account.page(path, ("after", page["pagination"]["after"]))
    raise CannotTellError("no list that has items ends within some pages")


def _edge(account: Account, path: str, page: Mapping[str, Any], name: str) -> str:
    """What stands for a cursor."""
    pagination = page["pagination"]
    if name not in pagination:
        return "left out"
    if pagination[name] is None or pagination[name] == "":
        return "null" if pagination[name] is None else "an empty text"
    items = account.page(path, (name, pagination[name]))["items"]
    return "a cursor to items" if items else "a cursor to an empty page"


@check("cursor-lifetime")
def cursor_lifetime(account: Account) -> Finding:
    cursor = _cursor(account)
    time.sleep(account.cursor_age)
    try:
        account.get("/usage-events", ("limit", "1"), ("after", cursor))
    except RefusedError as e:
        return Finding(f"expired within {account.cursor_age:g} s ({e.status})", False)
    return Finding(f"still good after {account.cursor_age:g} s")


@check("cursor-form")
def cursor_form(account: Account) -> Finding:
    try:
        text, *others = base64.b64decode(_cursor(account), validate=True).decode().split("#")
        uuid.UUID(text)
    except (binascii.Error, ValueError):
        return Finding("neither of the forms in the documents' examples")
    return Finding("base64 of a UUID, a time and an order" if others else "base64 of a UUID")


def _cursor(account: Account) -> str:
    # Sent anew: what was kept may be older than the cursor's lifetime.
    page = account.get("/usage-events", ("limit", "1"), again=True)
    cursor = page.get("pagination", {}).get("after")
    if not cursor or not page.get("items"):
        raise CannotTellError("the account has too few usage events for two pages")
    return str(cursor)


@check("total")
def total(account: Account) -> Finding:
    sample = account.sample("/usage-events")
    pages, bounds = [account.page("/usage-events")], []
    if len(sample) == PAGE:
        # A part of the list that does not grow: the second of a known event.
        time = _time(sample[-1]).replace(microsecond=0)
        bounds = _between(time - _SECOND, time + 2 * _SECOND)
        pages = [account.page("/usage-events", *bounds)]
    while len(pages) < 4 and len(pages[-1]["items"]) == PAGE and pages[-1]["pagination"].get("after"):
        after = pages[-1]["pagination"]["after"]
        pages.append(account.page("/usage-events", *bounds, ("after", after)))
    if len(pages[-1]["items"]) == PAGE:
        raise CannotTellError("there are too many usage events to count them")
    pagination = pages[0]["pagination"]
    reported = pagination.get("totalResultSize")
    if reported is None:
        return Finding("null" if "totalResultSize" in pagination else "left out")
    listed = sum(len(page["items"]) for page in pages)
    if reported == listed:
        return Finding("exact")
    return Finding("too low" if reported < listed else "too high", False)


@check("default-limit")
def default_limit(account: Account) -> Finding:
    items = account.get("/usage-events").get("items", [])
    if len(items) < PAGE and len(items) >= len(account.sample("/usage-events")):
        raise CannotTellError("the account has too few usage events")
    return Finding(f"{len(items)} items")


@check("offset-without-cursor")
def offset_without_cursor(account: Account) -> Finding:
    ids = [item["id"] for item in account.sample("/usage-events")]
    if len(ids) < 2:
        raise CannotTellError("the account has too few usage events")
    try:
        items = account.get("/usage-events", ("limit", "1"), ("offset", "1")).get("items", [])
    except RefusedError as e:
        return Finding(f"refused ({e.status})")
    if not items or items[0]["id"] not in ids[:2]:
        raise CannotTellError("too many events arrive")
    return Finding("counted from the start" if items[0]["id"] == ids[1] else "ignored")


@check("event-id-filter")
def event_id_filter(account: Account) -> Finding:
    event = account.event("has a customerEventId", lambda item: item["customerEventId"] != item["id"])
    known = {name: ("eventId", event[name]) for name in ("id", "customerEventId")}
    pages = {name: account.page("/usage-events", param)["items"] for name, param in known.items()}
    if any(item["customerEventId"] != event["customerEventId"] for items in pages.values() for item in items):
        return Finding("ignored")
    found = [name for name in known if event["id"] in [item["id"] for item in pages[name]]]
    return Finding(" or ".join(found) or "neither id nor customerEventId", bool(found))


@check("alias-list")
def alias_list(account: Account) -> Finding:
    one, other = _two_aliases(account.sample("/usage-events"))
    aliases = [one["customerAlias"], other["customerAlias"]]
    forms = {
        "repeated parameters": [("customerAlias", alias) for alias in aliases],
        "commas": [("customerAlias", ",".join(aliases))],
    }
    taken = []
    for name, params in forms.items():
        try:
            if all(account.gives("/usage-events", event, *params) for event in (one, other)):
                taken.append(name)
        except RefusedError:
            continue
    return Finding(" and ".join(taken) or "neither repeated parameters nor commas")


@check("customer-id-as-alias")
def customer_id_as_alias(account: Account) -> Finding:
    customer = account.sample("/customers")[0]
    answer = account.get("/seat-balances", ("customerAliases", customer["id"]))
    taken = any(item["id"] == customer["id"] for item in answer["items"])
    return Finding("an id is taken" if taken else "an id is not taken")


@check("currency-list")
def currency_list(account: Account) -> Finding:
    path = "/invoices/list-summary"
    by_currency = {item["currency"]: item for item in account.sample(path)}
    if len(by_currency) < 2:
        raise CannotTellError("the newest invoices are all in one currency")
    pair = dict(list(by_currency.items())[:2])
    try:
        listed = [account.gives(path, item, ("invoiceCurrency", ",".join(pair))) for item in pair.values()]
    except RefusedError as e:
        return Finding(f"refused ({e.status})")
    return Finding("commas" if all(listed) else "no list")


@check("merchants")
def merchants(account: Account) -> Finding:
    listed = account.sample("/tax-registrations")
    if len(listed) == PAGE:
        raise CannotTellError("/tax-registrations has more than a page")
    found = set()
    for owner in account.sample("/sequence-accounts")[:3]:
        with contextlib.suppress(RefusedError):
            answer = account.get(f"/tax-registrations/for-merchant/{owner['id']}")
            found |= {item["id"] for item in answer["items"]}
    if not found:
        raise CannotTellError("no account has tax registrations as a merchant")
    fits = found <= {item["id"] for item in listed}
    return Finding("the list names them" if fits else "the list lacks some", fits)


@check("filter-comparison")
def filter_comparison(account: Account) -> Finding:
    event = account.event(
        "has letters of one case in its alias", lambda item: _alias(item) != _alias(item).swapcase()
    )
    same = account.gives("/usage-events", event, ("customerAlias", _alias(event).swapcase()))
    return Finding("case is ignored" if same else "to the character")


@check("encoded-lists")
def encoded_lists(account: Account) -> Finding:
    for metric in account.sample("/usage-metrics"):
        encoded = quote(metric["eventType"], safe="")
        if encoded != metric["eventType"]:
            break
    else:
        raise CannotTellError("no usage metric has an event type with characters to encode")
    # What is given here is encoded once more on the way.
    twice = account.gives("/usage-metrics", metric, ("eventType", encoded))
    return Finding("encoded twice" if twice else "encoded once")


@check("superseded-copies")
def superseded_copies(account: Account) -> Finding:
    keys = [item["customerEventId"] for item in account.sample("/usage-events")]
    if len(set(keys)) < len(keys):
        return Finding("listed")
    void = account.page("/usage-events", ("customerAlias", "VOID"))["items"][:3]
    if not void:
        raise CannotTellError("none of the newest usage events was sent twice or voided")
    for event in void:
        time = _time(event).replace(microsecond=0)
        items = account.page("/usage-events", *_between(time - _SECOND, time + 2 * _SECOND))["items"]
        if [item["customerEventId"] for item in items].count(event["customerEventId"]) > 1:
            return Finding("listed")
    return Finding("hidden")


@check("void-events-unmapped")
def void_events_unmapped(account: Account) -> Finding:
    void = ("customerAlias", "VOID")
    if account.page("/usage-events", ("unmappedAliasesOnly", "true"), void)["items"]:
        return Finding("listed")
    if not account.page("/usage-events", void)["items"]:
        raise CannotTellError("no usage event was voided")
    return Finding("left out")


@check("time-in-ids")
def time_in_ids(account: Account) -> Finding:
    times = [_arrival(item["id"]) for item in account.sample("/usage-events")]
    known = [time for time in times if time is not None]
    if len(known) < len(times):
        return Finding("other ids", False)
    ordered = known == sorted(known, reverse=True)
    return Finding(f"UUIDv7, {'newest first' if ordered else 'in another order'}", ordered)


@check("calculate-aliases")
def calculate_aliases(account: Account) -> Finding:
    metric, events = _counted(account, 2)
    aliases = [_alias(event) for event in events]
    times = [_time(event).replace(microsecond=0) for event in events]
    period = (min(times) - _SECOND, max(times) + 2 * _SECOND)
    counts = [_count(account, metric, [("customerAliases", alias)], *period) for alias in aliases]
    if not all(counts):
        raise CannotTellError("a metric counts none of the events of an alias")
    forms = {
        "repeated parameters": [("customerAliases", alias) for alias in aliases],
        "commas": [("customerAliases", ",".join(aliases))],
    }
    taken = []
    for name, params in forms.items():
        try:
            if _count(account, metric, params, *period) == sum(counts):
                taken.append(name)
        except RefusedError:
            continue
    return Finding(" and ".join(taken) or "neither repeated parameters nor commas")


@check("calculate-period")
def calculate_period(account: Account) -> Finding:
    metric, (event,) = _counted(account, 1)
    alias, time = [("customerAliases", _alias(event))], _time(event)
    day = str(time.date())
    seen, fits = [], True
    try:
        moment = _count(account, metric, alias, time, time)
        midnight = time.replace(hour=0, minute=0, second=0)
        whole = _count(account, metric, alias, midnight, midnight + dt.timedelta(days=1) - _SECOND)
        if not whole:
            raise CannotTellError("a metric counts none of the events of an alias")
        if 0 < moment < whole:
            seen += ["times to the moment", "the end is included"]
        elif moment:
            seen += ["times, if not only their date"]
        else:
            seen, fits = [*seen, "times", "the end is not included"], False
    except RefusedError as e:
        seen.append(f"no times ({e.status})")
    try:
        _calculate(account, metric, alias, day, day)
        seen.append("dates")
    except RefusedError as e:
        seen.append(f"no dates ({e.status})")
        fits = fits and not seen[0].startswith("no times")
    return Finding(", ".join(seen), fits)


@check("calculated-value")
def calculated_value(account: Account) -> Finding:
    metric, (event,) = _counted(account, 1)
    time = _time(event)
    value = _calculate(account, metric, [("customerAliases", _alias(event))], _text(time), _text(time))[
        "value"
    ]
    if isinstance(value, str):
        return Finding("a text", re.fullmatch(r"-?[0-9.]+([eE][+-]?[0-9]+)?", value) is not None)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return Finding("a number" if is_number else "neither a number nor a text", is_number)


@check("naive-timestamps")
def naive_timestamps(account: Account) -> Finding:
    event = account.sample("/usage-events")[0]
    time = _time(event).replace(microsecond=0)

    def is_after(bound: dt.datetime) -> bool:
        naive = _text(bound).removesuffix("Z")
        return account.gives("/usage-events", event, ("eventTimestampAfter", naive))

    try:
        utc = is_after(time - 2 * _SECOND) and not is_after(time + 2 * _SECOND)
    except RefusedError as e:
        return Finding(f"refused ({e.status})")
    return Finding("UTC" if utc else "another zone than UTC")


@check("timestamp-format")
def timestamp_format(account: Account) -> Finding:
    zones, digits = set(), set()
    for item in account.sample("/usage-events"):
        text = item["eventTimestamp"]
        found = re.fullmatch(r"[^T]+T\d\d:\d\d(?::\d\d)?(?:[.,](\d+))?(Z|[+-]\d\d:?\d\d)?", text)
        if found is None:
            return Finding("no ISO 8601", False)
        digits.add(len(found[1] or ""))
        zones.add({"Z": "Z", None: "no offset"}.get(found[2], "an offset"))
    return Finding(f"{' or '.join(sorted(zones))}; {_or(sorted(digits))} digits of a second's fraction")


@check("seat-order")
def seat_order(account: Account) -> Finding:
    groups: dict[tuple[str, str], list[Item]] = {}
    seen: set[str] = set()
    for item in account.sample("/seat-events"):
        if item["customerEventId"] not in seen:  # else an event that was superseded
            seen.add(item["customerEventId"])
            groups.setdefault((item["customerAlias"], item["seatType"]), []).append(item)
    tried = 0
    for (alias, kind), events in groups.items():
        received, latest = events[0], max(events, key=_time)
        if received["total"] == latest["total"] or alias == "VOID" or "," in alias or tried == 2:
            continue
        tried += 1
        for customer in account.page("/seat-balances", ("customerAliases", alias))["items"]:
            if len(customer.get("customerAliases", [])) > 1:
                continue  # the balance counts seat events of the other aliases
            for balance in customer.get("balances", []):
                if balance.get("seatType") == kind and balance.get("total") == latest["total"]:
                    return Finding("the latest timestamp counts")
                if balance.get("seatType") == kind and balance.get("total") == received["total"]:
                    return Finding("the last received counts")
    raise CannotTellError("no newest seat events of a customer arrived out of order")


@check("error-body")
def error_body(account: Account) -> Finding:
    response = account.response("/usage-metrics", [("limit", "0")])
    if response.status_code < 400:
        raise CannotTellError("a limit of 0 is no error")
    try:
        content = response.json()
    except requests.JSONDecodeError:
        text = response.text.strip()
        return Finding(("HTML" if text.startswith("<") else "plain text") if text else "nothing")
    if isinstance(content, dict):
        for name, kind in (("error", "an object"), ("errors", "a list")):
            if name in content:
                return Finding(
                    f"{name}, {kind}", isinstance(content[name], dict if name == "error" else list)
                )
    return Finding("other JSON", False)


@check("missing-id")
def missing_id(account: Account) -> Finding:
    lines = account.response(f"/invoices/{_UNKNOWN_ID}/line-items", [("limit", "1")]).status_code
    query = [("customerAliases", "none"), ("periodStart", "2024-01-01"), ("periodEnd", "2024-01-01")]
    query[1:] = [(name, f"{day}T00:00:00Z") for name, day in query[1:]]
    metric = account.response(f"/usage-metrics/{_UNKNOWN_ID}/calculate", query).status_code
    return Finding(
        f"line items {lines}, calculation {metric}", lines in {200, 400, 404} and metric in {400, 404}
    )


@check("unknown-parameters")
def unknown_parameters(account: Account) -> Finding:
    try:
        account.get("/usage-metrics", ("limit", "1"), ("undocumented", "1"))
    except RefusedError as e:
        return Finding(f"refused ({e.status})")
    return Finding("ignored")


@check("deleted-aliases")
def deleted_aliases(account: Account) -> Finding:
    gone = [
        item
        for item in account.sample("/customer-aliases")
        if item.get("deletedAt") or item.get("archivedAt")
    ]
    if not gone:
        raise CannotTellError("none of the newest aliases that are listed was deleted")
    return Finding("listed, with deletedAt or archivedAt")


def _time(item: Item) -> dt.datetime:
    time = dt.datetime.fromisoformat(item["eventTimestamp"])
    return time.replace(tzinfo=dt.UTC) if time.tzinfo is None else time.astimezone(dt.UTC)


def _arrival(identifier: str) -> dt.datetime | None:
    """The time in a UUIDv7, None of another id."""
    try:
        value = uuid.UUID(identifier)
    except ValueError:
        return None
    return dt.datetime.fromtimestamp((value.int >> 80) / 1000, dt.UTC) if value.version == 7 else None


def _text(time: dt.datetime) -> str:
    return time.replace(tzinfo=None).isoformat() + "Z"


def _between(after: dt.datetime, before: dt.datetime) -> Params:
    return [("eventTimestampAfter", _text(after)), ("eventTimestampBefore", _text(before))]


def _bound(included: bool) -> str:
    return "inclusive" if included else "exclusive"


def _or(numbers: list[int]) -> str:
    return " or ".join(map(str, numbers))


def _alias(item: Item) -> str:
    return str(item["customerAlias"])


def _two_aliases(events: list[Item]) -> tuple[Item, Item]:
    """Two events of different aliases that have nothing to encode."""
    plain = [event for event in events if _alias(event) != "VOID" and not set(_alias(event)) & set(",%")]
    for other in plain:
        if _alias(other) != _alias(plain[0]):
            return plain[0], other
    raise CannotTellError("the newest usage events are all of one alias")


def _counted(account: Account, aliases: int) -> tuple[str, list[Item]]:
    """Id of a metric that counts, and events of different aliases, at whole seconds, of its type."""
    for metric in account.sample("/usage-metrics"):
        if metric["aggregationType"] != "COUNT" or metric.get("deletedAt") or metric.get("propertyFilters"):
            continue
        events: dict[str, Item] = {}
        for event in account.sample("/usage-events"):
            is_plain = not set(_alias(event)) & set(",%") and not _time(event).microsecond
            if event["eventType"] == metric["eventType"] and is_plain and _alias(event) != "VOID":
                events.setdefault(_alias(event), event)
        if len(events) >= aliases:
            return str(metric["id"]), list(events.values())[:aliases]
    raise CannotTellError("no usage metric counts the newest usage events")


def _calculate(account: Account, metric: str, aliases: Params, start: str, end: str) -> dict[str, Any]:
    path = f"/usage-metrics/{quote(metric, safe='')}/calculate"
    return account.get(path, *aliases, ("periodStart", start), ("periodEnd", end))


def _count(account: Account, metric: str, aliases: Params, start: dt.datetime, end: dt.datetime) -> int:
    return int(_calculate(account, metric, aliases, _text(start), _text(end))["eventCount"])


def run_check(name: str, account: Account) -> Finding | str:
    """Finding of one check, or why it can't be told."""
    try:
        return CHECKS[name](account)
    except CannotTellError as e:
        return f"can't be told: {e}"
    except (KeyError, TypeError, ValueError, AttributeError) as e:
        # An item is not as documented. The text of the error may have a value in it.
        return f"can't be told: a response is not as documented ({type(e).__name__})"


def open_account(environ: Mapping[str, str], **options: float) -> Account:
    """
    Open the account that environment variables name.

    :raises StopError: if one is missing, or the address is none.
    """
    names = ("SEQUENCE_CLIENT_ID", "SEQUENCE_CLIENT_SECRET")
    if missing := [name for name in names if not environ.get(name)]:
        raise StopError(f"set {' and '.join(missing)}: id and secret of an API client")
    url = environ.get("SEQUENCE_URL") or PRODUCTION
    try:
        parts = urlsplit(url)
        is_safe = parts.scheme == "https" or (parts.scheme, parts.hostname) == ("http", "127.0.0.1")
        is_base = bool(parts.hostname) and not (
            parts.username or parts.password or parts.query or parts.fragment
        )
    except ValueError:
        is_safe = is_base = False
    if not (is_safe and is_base):
        raise StopError(f"SEQUENCE_URL is no base URL of the form {PRODUCTION}")
    return Account(url, (environ[names[0]], environ[names[1]]), **options)


def main(environ: Mapping[str, str] = os.environ, **options: float) -> int:
    """Run all checks and print their results; 1 if one is not as the client takes it, 2 if the run could not go on."""
    try:
        account = open_account(environ, **options)
        fits = True
        for name in (assumption.name for assumption in ASSUMPTIONS if assumption.reads_only):
            finding = run_check(name, account)
            if isinstance(finding, Finding):
                fits = fits and finding.fits
                verdict = "the client takes or handles it" if finding.fits else "NOT as the client takes it"
                finding = f"{finding.seen}; {verdict}"
            print(f"{name:<22} {finding}", flush=True)
    except StopError as e:
        print(e, file=sys.stderr)
        return 2
    print(f"{account.requests} requests")
    return 0 if fits else 1


if __name__ == "__main__":
    sys.exit(main())
