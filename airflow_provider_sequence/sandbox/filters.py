"""Filters of lists: how a query parameter becomes a condition on the stored records."""

# ruff: noqa: S608 - names of tables and columns are constants of this package; values are always bound

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import unquote

from airflow_provider_sequence.sandbox import timestamps
from airflow_provider_sequence.sandbox.events import VOID
from airflow_provider_sequence.sandbox.http import HTTPError, Query
from airflow_provider_sequence.sandbox.settings import SandboxSettings
from airflow_provider_sequence.sandbox.store import Condition

#: Takes the parameter's name, the query and the settings. Called only if the parameter was sent.
Filter = Callable[[str, Query, SandboxSettings], Condition]

#: `customerIds` and `seatType` take this many values at most.
MOST_IDS = 25

_OF_CUSTOMERS = 'IN (SELECT alias FROM "customer-aliases" WHERE parent IN ({marks}))'


def json_field(name: str) -> str:
    """Return the SQL of a field of the stored JSON."""
    return f"json_extract(body, '$.{name}')"


def equals(column: str) -> Filter:
    """The column is the value, to the character."""
    return lambda name, query, settings: Condition(f"{column} = ?", (query.one(name),))


def any_of(column: str, switch: str = "") -> Filter:
    """The column is one of the values, listed as the ``switch`` says (comma-separated if there is none)."""

    def build(name: str, query: Query, settings: SandboxSettings) -> Condition:
        return among(column, values(name, query, getattr(settings, switch) if switch else "comma"))

    return build


def listed(column: str) -> Filter:
    """The column is one of comma-separated values, each of which was percent-encoded on its own."""

    def build(name: str, query: Query, settings: SandboxSettings) -> Condition:
        if settings.listed_values == "decoded_after_split":
            found = [unquote(part) for part in (query.one(name) or "").split(",")]
        else:
            found = [unquote(part) for part in query.raw(name)[-1].replace("+", " ").split(",")]
        return among(column, found)

    return build


def contains(column: str) -> Filter:
    """The column contains the value, whatever the case."""
    return lambda name, query, settings: Condition(f"contains_text({column}, ?)", (query.one(name),))


def instant(operators: dict[str, str], switch: str) -> Filter:
    """The event's time is on one side of the value; the ``switch`` says whether the bound belongs to it."""

    def build(name: str, query: Query, settings: SandboxSettings) -> Condition:
        try:
            bound = timestamps.parse(query.one(name) or "", settings.naive_timestamps)
        except ValueError as error:
            raise HTTPError(400, f"{name} {error}") from None
        if settings.timestamp_filter_resolution == "second":
            bound -= bound % timestamps.SECOND
        return Condition(f"timestamp {operators[getattr(settings, switch)]} ?", (bound,))

    return build


def day(column: str, operators: dict[str, str], switch: str) -> Filter:
    """The column, a date or an instant, is on one side of a day."""

    def build(name: str, query: Query, settings: SandboxSettings) -> Condition:
        try:
            bound = timestamps.parse_date(query.one(name) or "")
        except ValueError as error:
            raise HTTPError(400, f"{name} {error}") from None
        return Condition(f"substr({column}, 1, 10) {operators[getattr(settings, switch)]} ?", (str(bound),))

    return build


def event_id(name: str, query: Query, settings: SandboxSettings) -> Condition:
    """The event has this id: Sequence's own or the customer's, as the switch says."""
    column = {"id": "id", "customer_event_id": "key"}[settings.event_id_filter]
    return Condition(f"{column} = ?", (query.one(name),))


def unmapped(name: str, query: Query, settings: SandboxSettings) -> Condition:
    """The event's alias is neither an alias nor the id of a customer."""
    if not truth(name, query):
        return Condition()
    void = "1" if settings.void_events_unmapped else f"alias <> '{VOID}'"
    return Condition(
        'alias NOT IN (SELECT alias FROM "customer-aliases") AND alias NOT IN (SELECT id FROM customers) AND '
        + void,
        lasting=False,
    )


def of_customers(name: str, query: Query, settings: SandboxSettings) -> Condition:
    """The event's alias is an alias or the id of one of the customers."""
    ids = _ids(name, query)
    marks = ",".join("?" * len(ids))
    in_aliases = _OF_CUSTOMERS.format(marks=marks)
    return Condition(f"alias {in_aliases} OR alias IN ({marks})", ids + ids, lasting=False)


def some_of(column: str) -> Filter:
    """The column is one of the comma-separated values, of which there may be some only."""
    return lambda name, query, settings: among(column, list(_ids(name, query)))


def number(column: str) -> Filter:
    """The column, a decimal text, is the number."""

    def build(name: str, query: Query, settings: SandboxSettings) -> Condition:
        text = query.one(name) or ""
        try:
            value = float(text)
        except ValueError:
            raise HTTPError(400, f"{name} must be a number, not {text!r}") from None
        return Condition(f"CAST({column} AS REAL) = ?", (value,))

    return build


def choice(*choices: str, column: str, within: bool = False) -> Filter:
    """The column is one of the documented values; ``within``: a JSON list has it."""

    def build(name: str, query: Query, settings: SandboxSettings) -> Condition:
        value = query.one(name)
        if value not in choices:
            raise HTTPError(400, f"{name} must be one of {', '.join(choices)}, not {value!r}")
        return Condition(f"contains_text({column}, ?)" if within else f"{column} = ?", (value,))

    return build


def negated(wanted: Filter) -> Filter:
    """The record is none of those that another filter lets through."""

    def build(name: str, query: Query, settings: SandboxSettings) -> Condition:
        condition = wanted(name, query, settings)
        return Condition(f"NOT coalesce(({condition.sql}), 0)", condition.params, condition.lasting)

    return build


def checked_flag(name: str, query: Query, settings: SandboxSettings) -> Condition:
    """Every record: the parameter is only checked, and means something elsewhere."""
    truth(name, query)
    return Condition()


def or_open_ended(wanted: Filter, column: str) -> Filter:
    """What another filter lets through, and what has no end if the query asks for it."""

    def build(name: str, query: Query, settings: SandboxSettings) -> Condition:
        condition = wanted(name, query, settings)
        if query.one("includeOpenEndedSchedules") != "true":
            return condition
        return Condition(f"({condition.sql}) OR {column} IS NULL", condition.params)

    return build


def customer_with_contact(name: str, query: Query, settings: SandboxSettings) -> Condition:
    """The customer has a contact with the e-mail address."""
    return Condition(
        f'id IN (SELECT parent FROM "customers/contacts" WHERE {json_field("email")} = ?)',
        (query.one(name),),
        lasting=False,
    )


def customer_with_alias(name: str, query: Query, settings: SandboxSettings) -> Condition:
    """The customer has one of the aliases, or one of them is its id."""
    aliases = values(name, query, settings.aliases_separator if name == "customerAliases" else "repeated")
    marks = ",".join("?" * len(aliases))
    return Condition(
        f'id IN (SELECT parent FROM "customer-aliases" WHERE alias IN ({marks})) OR id IN ({marks})',
        (*aliases, *aliases),
        lasting=False,
    )


def flag(column: str) -> Filter:
    """The column, a JSON boolean, is the value."""
    return lambda name, query, settings: Condition(f"{column} = ?", (int(truth(name, query)),))


def among(column: str, found: list[str]) -> Condition:
    """Return the condition that a column has one of these values."""
    return Condition(f"{column} IN ({','.join('?' * len(found))})", tuple(found))


def values(name: str, query: Query, separator: str) -> list[str]:
    """Return a parameter's values where they are separated by ``comma``, ``repeated`` parameters or ``both``."""
    if separator == "repeated":
        return query.all(name)
    sent = query.all(name) if separator == "both" else [query.one(name) or ""]
    return [part for value in sent for part in value.split(",")]


def truth(name: str, query: Query) -> bool:
    """Return the value of a boolean parameter; :raises HTTPError: it is neither true nor false."""
    value = query.one(name)
    if value not in {"true", "false"}:
        raise HTTPError(400, f"{name} must be true or false, not {value!r}")
    return value == "true"


def _ids(name: str, query: Query) -> tuple[str, ...]:
    ids = tuple((query.one(name) or "").split(","))
    if len(ids) > MOST_IDS:
        raise HTTPError(400, f"{name} takes {MOST_IDS} values at most, not {len(ids)}")
    return ids
