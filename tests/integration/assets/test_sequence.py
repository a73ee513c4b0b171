"""Assets of Sequence's lists, and what their events say, as Airflow stores them."""

from __future__ import annotations

import datetime as dt
import warnings
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
from airflow.providers.common.compat.sdk import Asset, AssetAlias

from airflow_provider_sequence.api.resources import RESOURCES
from airflow_provider_sequence.assets.sequence import (
    account_of,
    convert_asset_to_openlineage,
    sanitize_uri,
    sequence_asset,
    set_outlet_extra,
)
from tests.integration.support.airflow import interval_dag
from tests.integration.transfers.test_push_and_pull import (
    END,
    START,
    make_usage,
    one_task,
    over_the_day,
    pull,
    push,
)

try:
    from airflow.models.asset import AssetEvent

    AIRFLOW_3 = True
except ImportError:
    from airflow.models.dataset import DatasetEvent as AssetEvent

    AIRFLOW_3 = False

EVENTS = sequence_asset("acme", "usage_events")
TABLE = Asset(uri="x-warehouse://usage")
HOUR = dt.timedelta(hours=1)


def events_of(dag: Any) -> dict[str, dict[str, Any]]:
    """The extra of each asset event of a DAG's tasks, by the asset's URI."""
    from airflow.utils.session import create_session

    with create_session() as session:
        found = session.query(AssetEvent).filter(AssetEvent.source_dag_id == dag.dag_id)
        return {event.uri: dict(event.extra) for event in found}


def facts(extra: dict[str, Any]) -> dict[str, Any]:
    """What the task said, without what Airflow adds on its own."""
    return {name: value for name, value in extra.items() if name != "from_rest_api"}


class TestUri:
    @pytest.mark.parametrize("resource", RESOURCES)
    def test_every_resource_is_an_asset(self, resource):
        asset = sequence_asset("acme-production", resource)

        assert asset.uri == f"sequence://acme-production/{resource}"
        assert account_of(asset, resource) == "acme-production"
        assert account_of(asset, "usage") is None

    def test_what_airflow_takes_is_passed_on(self):
        assert sequence_asset("acme", "invoices", extra={"team": "billing"}).extra == {"team": "billing"}

    @pytest.mark.parametrize("account", ["", "a b", "a/b", "a?b", "a:80", "joe@acme", "-a", "ä"])
    def test_account_that_is_no_name_is_refused(self, account):
        with pytest.raises(ValueError, match=r"sequence://<account>/<resource>"):
            sequence_asset(account, "usage_events")

    @pytest.mark.parametrize(
        "resource", ["usage-events", "Usage_events", "usage_events/1", "usage_events?x=1"]
    )
    def test_resource_that_there_is_not_is_refused(self, resource):
        with pytest.raises(ValueError, match=r"no resource .*there are activity_logs"):
            sequence_asset("acme", resource)

    @pytest.mark.parametrize(
        "uri",
        ["sequence://", "sequence://acme", "sequence:///usage_events", "sequence://acme/usage_events?x=1"],
    )
    def test_uri_of_another_form_is_refused(self, uri):
        with pytest.raises(ValueError, match=r"sequence://<account>/<resource>"):
            sanitize_uri(urlsplit(uri))

    def test_airflow_asks_the_provider(self, airflow_db, monkeypatch):
        """Airflow 2 raises where it is told to be strict, else it warns."""
        monkeypatch.setenv("AIRFLOW__CORE__STRICT_DATASET_URI_VALIDATION", "True")

        assert Asset(uri="SEQUENCE://acme/usage_events/").uri == "sequence://acme/usage_events"
        with pytest.raises(ValueError, match="no resource 'usage'"):
            Asset(uri="sequence://acme/usage")

    def test_airflow_makes_one_of_its_parts(self, airflow_db):
        from airflow.providers_manager import ProvidersManager

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            manager, kind = ProvidersManager(), "asset" if AIRFLOW_3 else "dataset"
            factories = getattr(manager, f"{kind}_factories")
            converters = getattr(manager, f"{kind}_to_openlineage_converters")

        assert factories["sequence"](account="acme", resource="usage_events", extra=None) == EVENTS
        assert converters["sequence"] is convert_asset_to_openlineage

    def test_openlineage_gets_account_and_resource(self):
        dataset = convert_asset_to_openlineage(EVENTS, None)

        assert (dataset.namespace, dataset.name) == ("sequence://acme", "usage_events")


def test_alias_and_what_is_no_asset_are_left_alone():
    asked: list[Any] = []

    class Accessors:
        def __getitem__(self, key: Any) -> Any:
            asked.append(key)
            return SimpleNamespace(extra={})

    set_outlet_extra({"outlet_events": Accessors()}, [AssetAlias("later"), EVENTS, "a table"], {"rows": 1})

    assert asked == [EVENTS]


class TestPush:
    def test_counts_and_watermark_are_in_the_event_of_each_asset(
        self, run_dag, sandbox, sequence_conn, warehouse
    ):
        make_usage(warehouse, [START, START + HOUR, START + HOUR / 7, START])
        warehouse.execute("UPDATE usage SET customer_alias = NULL WHERE number = 3")
        dag = one_task(push, max_rejected=1, outlets=[EVENTS, TABLE, AssetAlias("later")])
        assert run_dag(dag, END).state == "success"

        expected = {
            "resource": "usage_events",
            "rows": 4,
            "delivered": 3,
            "unchanged": 0,
            "rejected": 1,
            "watermark": "2026-03-01T01:00:00Z",
        }
        assert {uri: facts(extra) for uri, extra in events_of(dag).items()} == {
            EVENTS.uri: expected,
            TABLE.uri: expected,
        }

    def test_rows_that_are_unchanged_count_for_the_watermark(
        self, run_dag, sandbox, sequence_conn, warehouse
    ):
        make_usage(warehouse, [START, START + HOUR])
        for delivered in (2, 0):
            dag = one_task(push, delivery_log_table="log", outlets=[EVENTS])
            assert run_dag(dag, END).state == "success"
            extra = events_of(dag)[EVENTS.uri]

            assert (extra["delivered"], extra["unchanged"]) == (delivered, 2 - delivered)
            assert extra["watermark"] == "2026-03-01T01:00:00Z"

    @pytest.mark.parametrize(
        ("texts", "newest"),
        [
            (["2026-03-01T00:00:00Z", "2026-03-01T00:00:00.5Z"], "2026-03-01T00:00:00.500000Z"),
            (["2026-03-01T00:00:00.1234567Z", "2026-03-01T00:00:00.12Z"], "2026-03-01T00:00:00.1234567Z"),
            (["2026-03-01T03:00:00+03:00", "2026-03-01T00:30:00Z"], "2026-03-01T00:30:00Z"),
        ],
    )
    def test_newest_of_timestamps_of_different_length(
        self, texts, newest, run_dag, sandbox, sequence_conn, warehouse
    ):
        make_usage(warehouse, [START, START])
        for number, text in enumerate(texts):
            warehouse.execute(f"UPDATE usage SET event_timestamp = '{text}' WHERE number = {number}")
        dag = one_task(push, outlets=[EVENTS])
        assert run_dag(dag, END).state == "success"

        assert events_of(dag)[EVENTS.uri]["watermark"] == newest

    def test_row_that_was_rejected_does_not_raise_the_watermark(
        self, run_dag, sandbox, sequence_conn, warehouse
    ):
        """One that Sequence refuses, and one that is not even sent."""
        make_usage(warehouse, [START, START + HOUR, START + 2 * HOUR])
        warehouse.execute("UPDATE usage SET customer_alias = NULL WHERE number = 2")
        warehouse.execute("UPDATE usage SET customer_alias = :long WHERE number = 1", {"long": "x" * 300})
        dag = one_task(push, max_rejected=2, outlets=[EVENTS])
        assert run_dag(dag, END).state == "success"

        extra = events_of(dag)[EVENTS.uri]
        assert (extra["delivered"], extra["rejected"]) == (1, 2)
        assert extra["watermark"] == "2026-03-01T00:00:00Z"

    def test_no_row_has_no_watermark(self, run_dag, sandbox, sequence_conn, warehouse):
        make_usage(warehouse, [])
        dag = one_task(push, outlets=[EVENTS])
        assert run_dag(dag, END).state == "success"

        assert facts(events_of(dag)[EVENTS.uri])["watermark"] is None

    def test_too_many_rejected_rows_make_no_event(self, run_dag, sandbox, sequence_conn, warehouse):
        make_usage(warehouse, [START, START + HOUR])
        warehouse.execute("UPDATE usage SET customer_alias = NULL WHERE number = 1")
        dag = one_task(push, outlets=[EVENTS])

        assert run_dag(dag, END).state == "failed"
        assert events_of(dag) == {}

    def test_nothing_is_said_where_nobody_asked(self, run_dag, sandbox, sequence_conn, warehouse):
        make_usage(warehouse, [START])
        dag = one_task(push)

        assert run_dag(dag, END).state == "success"
        assert events_of(dag) == {}

    @pytest.mark.skipif(not AIRFLOW_3, reason="Airflow 2 has no references to assets")
    def test_reference_to_an_asset_is_one_too(self, run_dag, sandbox, sequence_conn, warehouse):
        make_usage(warehouse, [START])
        with interval_dag(START, END) as dag:
            push("a", outlets=[EVENTS]) >> push("b", outlets=[Asset.ref(uri=EVENTS.uri)])
        assert run_dag(dag, END).state == "success"

        from airflow.utils.session import create_session

        with create_session() as session:
            found = session.query(AssetEvent).filter(AssetEvent.source_dag_id == dag.dag_id)
            assert {event.source_task_id: event.extra["rows"] for event in found} == {"a": 1, "b": 1}


class TestPull:
    def test_counts_and_window_are_in_the_event(self, run_dag, sandbox, sequence_conn, warehouse):
        make_usage(warehouse, [START - HOUR, *over_the_day(10), END])
        assert run_dag(one_task(push), END).state == "success"
        dag = one_task(pull, outlets=[EVENTS, TABLE], lookback=HOUR)
        assert run_dag(dag, END).state == "success"

        events = events_of(dag)
        assert events[EVENTS.uri] == events[TABLE.uri]
        assert facts(events[TABLE.uri]) == {
            "resource": "usage_events",
            "reported_total": 12,  # the margin around the window holds the first event after it
            "read": 12,
            "loaded": 11,
            "window_start": "2026-02-28T23:00:00Z",
            "window_end": "2026-03-02T00:00:00Z",
            "watermark": "2026-03-02T00:00:00Z",
        }

    def test_whole_list_has_no_window(self, run_dag, sandbox, sequence_conn, warehouse):
        dag = one_task(pull, resource="customers", outlets=[TABLE])
        assert run_dag(dag, END).state == "success"

        extra = facts(events_of(dag)[TABLE.uri])
        assert extra["resource"] == "customers"
        assert extra["loaded"] == extra["read"]
        assert [extra[name] for name in ("window_start", "window_end", "watermark")] == [None] * 3
