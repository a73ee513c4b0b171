"""Each filter is written as the API documents it, and no other is accepted."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from decimal import Decimal
from urllib.parse import unquote

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_sequence.api.events import SEAT_EVENT, USAGE_EVENT
from airflow_provider_sequence.api.resources import (
    RESOURCES,
    SEAT_EVENTS,
    USAGE_EVENTS,
    USAGE_METRICS,
    get_resource,
)
from airflow_provider_sequence.api.windows import Window
from airflow_provider_sequence.exceptions import SequenceConfigurationError, SequenceResponseError

#: The documented parameters of each list, without those of paging, sorting and time.
DOCUMENTED = {
    "usage_events": {"customerAlias", "unmappedAliasesOnly", "eventType", "eventId"},
    "seat_events": {"customerAlias", "customerIds", "seatType", "customerEventId"},
    "usage_metrics": {"name", "id", "eventType", "eventProperty", "aggregationType"},
}
FIELDS = {
    "usage_events": "id customerEventId customerAlias eventType sequenceAccountId eventTimestamp eventProperties",
    "seat_events": "id customerEventId customerAlias seatType sequenceAccountId eventTimestamp total",
    "usage_metrics": "id sequenceAccountId name description metricType eventType aggregationType aggregationProperty "
    "groupingProperty unit createdAt deletedAt propertyFilters caseSensitive propertiesToNegate parameters",
}
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
DAY = (dt.datetime(2024, 1, 1, tzinfo=dt.UTC), dt.datetime(2024, 1, 2, tzinfo=dt.UTC))


class TestCatalogue:
    @pytest.mark.parametrize("name", DOCUMENTED)
    def test_every_documented_filter_is_there_under_its_python_name(self, name):
        resource = get_resource(name)
        assert {f.parameter for f in resource.filters} == DOCUMENTED[name]
        for one in resource.filters:
            assert one.name == re.sub(r"(?<!^)(?=[A-Z])", "_", one.parameter).lower()

    @pytest.mark.parametrize("name", FIELDS)
    def test_every_documented_field_has_a_column(self, name):
        resource = get_resource(name)
        assert {field.name for field in resource.fields} == set(FIELDS[name].split())
        assert resource.key.name == "id"
        columns = [field.column for field in resource.fields]
        assert len(set(columns)) == len(columns)

    @pytest.mark.parametrize(
        ("name", "path"),
        [
            ("usage_events", "/usage-events"),
            ("seat_events", "/seat-events"),
            ("usage_metrics", "/usage-metrics"),
        ],
    )
    def test_paths(self, name, path):
        assert get_resource(name).path == path

    def test_what_can_be_created(self):
        assert {name: r.event for name, r in RESOURCES.items() if r.event} == {
            "usage_events": USAGE_EVENT,
            "seat_events": SEAT_EVENT,
        }

    def test_only_usage_events_have_a_budget_of_their_own(self):
        assert USAGE_EVENTS.create_budget != SEAT_EVENTS.create_budget

    def test_an_unknown_resource(self):
        with pytest.raises(SequenceConfigurationError, match=r"\busage_event\b") as caught:
            get_resource("usage_event")
        assert all(name in str(caught.value) for name in RESOURCES)


class TestFilters:
    def test_an_array_repeats_its_parameter(self):
        assert USAGE_EVENTS.query({"customer_alias": ["a", "b,c", "d"]}) == [
            ("customerAlias", "a"),
            ("customerAlias", "b,c"),
            ("customerAlias", "d"),
        ]

    @pytest.mark.parametrize(
        "aliases", [("a", "b"), iter(["a", "b"]), ["a", "b"]], ids=["tuple", "iterator", "list"]
    )
    def test_arrays_of_any_kind(self, aliases):
        assert USAGE_EVENTS.query({"customer_alias": aliases}) == [
            ("customerAlias", "a"),
            ("customerAlias", "b"),
        ]

    def test_a_single_alias_is_no_array_of_letters(self):
        assert USAGE_EVENTS.query({"customer_alias": "acme"}) == [("customerAlias", "acme")]

    @pytest.mark.parametrize(
        "value", [b"acme", {"acme": 1}, None, 1.5, [None], [b"acme"], [["acme"]], [], 1j], ids=repr
    )
    def test_what_is_no_list_of_aliases(self, value):
        if value is None:
            assert USAGE_EVENTS.query({"customer_alias": None}) == []
            return
        with pytest.raises(SequenceConfigurationError, match="customer_alias"):
            USAGE_EVENTS.query({"customer_alias": value})

    @pytest.mark.parametrize(
        ("value", "written"), [(True, "true"), (False, "false"), ("true", "true"), ("False", "false")]
    )
    def test_flags(self, value, written):
        """Templates give text."""
        assert USAGE_EVENTS.query({"unmapped_aliases_only": value}) == [("unmappedAliasesOnly", written)]

    @pytest.mark.parametrize("value", ["yes", 5, "", [True]])
    def test_what_is_no_flag(self, value):
        with pytest.raises(SequenceConfigurationError, match="unmapped_aliases_only"):
            USAGE_EVENTS.query({"unmapped_aliases_only": value})

    @pytest.mark.parametrize("name", ["event_type", "event_id"])
    def test_text_of_usage_events(self, name):
        parameter = {"event_type": "eventType", "event_id": "eventId"}[name]
        assert USAGE_EVENTS.query({name: "a,b &c"}) == [(parameter, "a,b &c")]

    @pytest.mark.parametrize(
        ("name", "parameter"),
        [
            ("customer_alias", "customerAlias"),
            ("seat_type", "seatType"),
            ("customer_event_id", "customerEventId"),
        ],
    )
    def test_text_of_seat_events(self, name, parameter):
        assert SEAT_EVENTS.query({name: "a,b &c"}) == [(parameter, "a,b &c")]

    @pytest.mark.parametrize(("name", "parameter"), [("name", "name"), ("id", "id")])
    def test_text_of_usage_metrics(self, name, parameter):
        assert USAGE_METRICS.query({name: "Total, of all"}) == [(parameter, "Total, of all")]

    @pytest.mark.parametrize("value", [["a"], {"a": 1}, b"a", 1.5, 1j], ids=repr)
    def test_what_is_no_text(self, value):
        with pytest.raises(SequenceConfigurationError, match="event_type"):
            USAGE_EVENTS.query({"event_type": value})

    @pytest.mark.parametrize("resource", [USAGE_EVENTS, SEAT_EVENTS, USAGE_METRICS], ids=lambda r: r.name)
    def test_half_a_character_can_not_be_asked_for(self, resource):
        for one in resource.filters:
            with pytest.raises(SequenceConfigurationError, match=one.name):
                resource.query({one.name: "\ud800"})

    def test_customer_ids_are_comma_separated(self):
        assert SEAT_EVENTS.query({"customer_ids": ["a", "b"]}) == [("customerIds", "a,b")]
        assert SEAT_EVENTS.query({"customer_ids": "a"}) == [("customerIds", "a")]

    def test_25_customer_ids_and_no_more(self):
        ids = [f"id-{n}" for n in range(26)]
        assert SEAT_EVENTS.query({"customer_ids": ids[:25]}) == [("customerIds", ",".join(ids[:25]))]
        with pytest.raises(SequenceConfigurationError, match="25") as caught:
            SEAT_EVENTS.query({"customer_ids": ids})
        assert "customer_ids" in str(caught.value)
        assert "id-3" not in str(caught.value)

    def test_a_comma_in_a_customer_id_does_not_make_two_of_it(self):
        with pytest.raises(SequenceConfigurationError, match="customer_ids"):
            SEAT_EVENTS.query({"customer_ids": ["a,b", "c"]})

    @pytest.mark.parametrize(
        ("name", "parameter"), [("event_type", "eventType"), ("event_property", "eventProperty")]
    )
    @given(st.lists(TEXT, min_size=1, max_size=5))
    def test_each_value_is_percent_encoded_so_that_its_commas_survive(self, name, parameter, values):
        [(written_as, written)] = USAGE_METRICS.query({name: values})
        assert written_as == parameter
        assert [unquote(part) for part in written.split(",")] == values
        assert re.fullmatch(r"([A-Za-z0-9._~-]|%[0-9A-F]{2})+(,([A-Za-z0-9._~-]|%[0-9A-F]{2})+)*", written)

    def test_a_single_value_with_a_comma(self):
        assert USAGE_METRICS.query({"event_type": "a,b"}) == [("eventType", "a%2Cb")]

    def test_aggregation_types_are_comma_separated(self):
        assert USAGE_METRICS.query({"aggregation_type": ["COUNT", "SUM"]}) == [
            ("aggregationType", "COUNT,SUM")
        ]

    @pytest.mark.parametrize("name", ["event_type", "event_property", "aggregation_type"])
    @pytest.mark.parametrize("value", [[], b"x", {"a": 1}, [None], [1.5]], ids=repr)
    def test_what_is_no_list_of_text(self, name, value):
        with pytest.raises(SequenceConfigurationError, match=name):
            USAGE_METRICS.query({name: value})

    @pytest.mark.parametrize("resource", RESOURCES.values(), ids=lambda r: r.name)
    @pytest.mark.parametrize(
        "unknown",
        ["customerAlias", "limit", "after", "before", "offset", "event_timestamp_after", "nope", ""],
    )
    def test_an_unknown_filter_is_told_the_known_ones(self, resource, unknown):
        with pytest.raises(SequenceConfigurationError, match=resource.name) as caught:
            resource.query({unknown: "Hunter2"})
        assert unknown in str(caught.value)
        assert all(f.name in str(caught.value) for f in resource.filters)
        assert "Hunter2" not in str(caught.value)

    def test_none_leaves_a_filter_out(self):
        assert USAGE_EVENTS.query({"event_type": None, "event_id": "e", "customer_alias": None}) == [
            ("eventId", "e")
        ]

    @pytest.mark.parametrize(
        ("resource", "filters"),
        [
            (USAGE_EVENTS, {"event_type": [{"Hunter2": 1}]}),
            (USAGE_EVENTS, {"customer_alias": ["ok", b"Hunter2"]}),
            (USAGE_EVENTS, {"unmapped_aliases_only": "Hunter2"}),
            (SEAT_EVENTS, {"customer_ids": ["Hunter2"] * 30}),
        ],
    )
    def test_refusals_keep_values_to_themselves(self, resource, filters: Mapping[str, object]):
        with pytest.raises(SequenceConfigurationError) as caught:
            resource.query(filters)
        assert "Hunter2" not in str(caught.value)

    def test_all_at_once(self):
        query = USAGE_EVENTS.query(
            {"customer_alias": ["a", "b"], "event_type": "t", "unmapped_aliases_only": True}, DAY
        )
        assert sorted(query) == [
            ("customerAlias", "a"),
            ("customerAlias", "b"),
            ("eventTimestampAfter", "2024-01-01T00:00:00Z"),
            ("eventTimestampBefore", "2024-01-02T00:00:00Z"),
            ("eventType", "t"),
            ("unmappedAliasesOnly", "true"),
        ]


class TestBounds:
    @pytest.mark.parametrize("resource", [USAGE_EVENTS, SEAT_EVENTS], ids=lambda r: r.name)
    def test_are_written_in_utc(self, resource):
        plus_two = dt.timezone(dt.timedelta(hours=2))
        bounds = (
            dt.datetime(2024, 1, 1, 2, tzinfo=plus_two),
            dt.datetime(2024, 1, 2, 2, 0, 0, tzinfo=plus_two),
        )
        assert resource.query({}, bounds) == [
            ("eventTimestampAfter", "2024-01-01T00:00:00Z"),
            ("eventTimestampBefore", "2024-01-02T00:00:00Z"),
        ]

    def test_metrics_have_no_time(self):
        with pytest.raises(SequenceConfigurationError, match="usage_metrics"):
            USAGE_METRICS.query({}, DAY)

    @pytest.mark.parametrize(
        ("text", "inside"),
        [
            (b'"2024-01-01T00:00:00Z"', True),
            (b'"2023-12-31T23:59:59.999999999Z"', False),
            (b'"2024-01-01T23:59:59.999999999Z"', True),
            (b'"2024-01-02T00:00:00Z"', False),
            (b'"2024-01-02T00:00:00+02:00"', True),
            (b'"2024-01-01T00:00:00"', True),
        ],
        ids=str,
    )
    def test_what_belongs_to_a_window(self, text, inside):
        item = {"id": msgspec.Raw(b'"1"'), "eventTimestamp": msgspec.Raw(text)}
        assert USAGE_EVENTS.belongs(item, Window(*DAY)) == inside
        assert USAGE_EVENTS.belongs(item, None)

    @pytest.mark.parametrize("text", [b"null", b"5", b'"soon"', b"{}", b'""', None], ids=str)
    def test_an_item_whose_time_can_not_be_read_is_not_dropped_in_silence(self, text):
        item = {"id": msgspec.Raw(b'"1"')} | ({} if text is None else {"eventTimestamp": msgspec.Raw(text)})
        with pytest.raises(SequenceResponseError):
            USAGE_EVENTS.time_of(item)
        with pytest.raises(SequenceResponseError):
            USAGE_EVENTS.belongs(item, Window(*DAY))

    def test_numbers_are_no_text_of_a_filter_by_accident(self):
        with pytest.raises(SequenceConfigurationError):
            SEAT_EVENTS.query({"seat_type": Decimal("1.0")})
