"""Error responses: message, redaction and Retry-After."""

from __future__ import annotations

import datetime as dt
import json
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_sequence.api.http.error_response import (
    parse_retry_after,
    read_error,
    redact,
    values_in_body,
    values_in_query,
)
from airflow_provider_sequence.api.shown_text import MAX_MESSAGE
from tests.unit.strategies import few_examples

PAGE = b"""<!DOCTYPE html>
<html><head><title>502 Bad Gateway</title><style>h1 { color: red }</style><script>var x = "y";</script></head>
<body><center><h1>502 Bad Gateway</h1></center><hr><p>nginx &amp; friends</p></body></html>"""


class TestReadError:
    def test_body_with_one_error(self):
        body = b'{"error": {"type": "UnrecognisedApiVersion", "message": "No such version"}}'
        assert read_error(body) == ("UnrecognisedApiVersion", "No such version")

    def test_body_with_several_errors(self):
        kind, message = read_error(
            b'{"errors": [{"type": "A", "message": "first"}, {"type": "B", "message": "second"}]}'
        )
        assert kind == "A"
        assert "first" in message
        assert "second" in message

    def test_body_with_several_texts(self):
        kind, message = read_error(b'{"errors": ["first", "second"]}')
        assert kind is None
        assert "first" in message
        assert "second" in message

    def test_body_with_one_text(self):
        assert read_error(b'{"error": "no"}') == (None, "no")

    def test_html_page(self):
        kind, message = read_error(PAGE)
        assert kind is None
        assert "502 Bad Gateway" in message
        assert "nginx & friends" in message
        assert not set("<>{}") & set(message)
        assert "color" not in message
        assert "var x" not in message

    def test_plain_text(self):
        assert read_error(b"upstream connect error") == (None, "upstream connect error")

    @pytest.mark.parametrize("body", [b"", b" \n"])
    def test_empty_body(self, body):
        kind, message = read_error(body)
        assert kind is None
        assert message.strip()

    @pytest.mark.parametrize(
        "body",
        [
            b"\xff\xfe\x00",
            b"null",
            b"5",
            b"[]",
            b"{}",
            b'{"error": null}',
            b'{"errors": []}',
            b'{"errors": [null]}',
            b'{"errors": {}}',
            b'{"error": {"type": 5, "message": ["a"]}}',
            b'{"error": {}}',
            b'{"error": [[]]}',
            b'{"error"',
            b'{"error": true}',
        ],
        ids=repr,
    )
    def test_body_of_another_shape(self, body):
        kind, message = read_error(body)
        assert kind is None or isinstance(kind, str)
        assert isinstance(message, str)
        assert message

    @few_examples
    @given(
        st.binary()
        | st.recursive(
            st.none() | st.integers() | st.text(),
            lambda inner: (
                st.lists(inner)
                | st.dictionaries(st.sampled_from(["error", "errors", "type", "message", "x"]), inner)
            ),
        ).map(lambda value: json.dumps(value).encode())
    )
    def test_any_body_is_read(self, body):
        kind, message = read_error(body)
        assert kind is None or isinstance(kind, str)
        assert isinstance(message, str)
        assert message

    def test_deeply_nested_body_is_read(self):
        assert read_error(b"[" * 200_000)[0] is None
        assert read_error(b'{"error":' * 100_000)[0] is None


class TestRedaction:
    def test_values_are_redacted(self):
        message = redact(
            "alias 'acme-corp' is unknown to account 77; secret=s3cr3t", ["acme-corp", "77", "s3cr3t"]
        )
        assert "acme" not in message
        assert "77" not in message
        assert "s3cr3t" not in message
        assert "is unknown to account" in message

    @pytest.mark.parametrize(
        "alias", ["a.b", "a+b(c)", "[x]", "back\\slash", "$1", "Ünï cödé", "\U0001f600", "^", "x" * 400]
    )
    def test_value_with_pattern_characters_is_redacted(self, alias):
        message = redact(f"no customer {alias}, sorry", [alias])
        assert alias not in message
        assert message.startswith("no customer ")
        assert message.endswith(", sorry")

    @pytest.mark.parametrize(
        ("sent", "message"),
        [
            ("Jane  Doe 42", "alias 'Jane  Doe 42' is unknown"),
            ("Jane  Doe 42", "alias 'Jane Doe 42' is unknown"),
            ("jane.doe@example.org", "alias 'jane.do…' is unknown"),
            ("jane.doe@example.org", "alias 'JANE.DOE@EXAMPLE.ORG' is unknown"),
            ("jané doe", "alias jan%c3%a9%20doe is unknown"),
            ("jane", "alias &#106;&#x61;ne is unknown"),
            ("jane", r"alias \u006aane is unknown"),
            ("jane.doe", "alias amFuZS5kb2U= is unknown"),
        ],
    )
    def test_value_in_another_spelling_is_redacted(self, sent, message):
        shown = redact(message, [sent])
        assert shown.startswith(("alias ***", "alias '***'"))
        assert shown.endswith(" is unknown")

    def test_value_that_is_a_prefix_of_another(self):
        for values in [["acme", "acme-corp-7"], ["acme-corp-7", "acme"]]:
            message = redact("alias acme-corp-7 and acme", values)
            assert "acme" not in message
            assert "corp" not in message

    def test_short_values_are_not_redacted_inside_words(self):
        assert redact("the total is wrong", ["a", "o", "", "wr"]) == "the total is wrong"

    @pytest.mark.parametrize(
        ("sent", "message", "shown"),
        [
            (
                "customer-444",
                "customerAlias must have 255 characters",
                "customerAlias must have 255 characters",
            ),
            ("customer", "customerAlias: no customer", "customerAlias: no ***"),
            ("event-type", "eventType event-type is unknown", "eventType *** is unknown"),
            ("1", "customerAlias must be 1", "customerAlias must be ***"),
            ("my customerAlias", "customerAlias my customerAlias", "*** ***"),
        ],
    )
    def test_names_of_fields_stay_unless_a_value_holds_them(self, sent, message, shown):
        assert redact(message, [sent]) == shown

    def test_empty_value_is_ignored(self):
        assert redact("eventType is required", [""]) == "eventType is required"

    @few_examples
    @given(
        st.lists(
            st.text(st.characters(categories=["L", "N"]), min_size=4, max_size=12), min_size=1, max_size=5
        )
    )
    def test_every_value_is_redacted(self, values):
        message = redact("; ".join(f"'{value}'" for value in values), values)
        assert not [value for value in values if value in message]

    def test_long_message_is_cut(self):
        assert len(redact("x " * 5000, [])) <= MAX_MESSAGE

    def test_value_at_the_limit_of_the_message_is_redacted_whole(self):
        for before in range(MAX_MESSAGE - 12, MAX_MESSAGE + 1):
            message = redact("." * before + " Hunter2Secret", ["Hunter2Secret"])
            assert "Hunt" not in message


class TestSentValues:
    def test_values_of_a_body(self):
        body = {
            "customerEventId": "e-1",
            "customerAlias": "acme",
            "eventType": "sent",
            "eventTimestamp": "2024-01-01T00:00:00Z",
            "eventProperties": {"name": "Jane Doe", "nested": [{"iban": "DE89"}, ["deep"]], "amount": 12.50},
        }
        values = list(values_in_body(json.dumps(body).replace("12.5", "12.50").encode()))
        assert {"acme", "Jane Doe", "DE89", "deep", "12.50"} <= set(values)
        assert not {"sent", "e-1", "2024-01-01T00:00:00Z"} & set(values)

    @pytest.mark.parametrize(
        ("value", "message"),
        [
            ('"Zo\\u00eb Doe"', "no Zoë Doe"),
            ('{"jane.doe@example.org": 1}', "no jane.doe@example.org"),
            ("0.00000012345678", "no 1.2345678E-7"),
            ("0.00000012345678", "no 1.2345678e-07"),
            ("1.23456789012345e3", "no 1.23456789012345e3"),
            ("1.23456789012345e3", "no 1234.56789012345"),
            ("9" * 5000, "no " + "9" * 200),
            ("1e999999999", "no 1e999999999"),
            ('"\\ud800 jane"', "no \\ud800 jane"),
            ("not JSON, 2026-03-01 12345", "no 12345"),
        ],
        ids=range(10),
    )
    def test_what_a_body_holds_is_redacted(self, value, message):
        body = f'{{"customerEventId": "e-1", "customerAlias": {value}}}'.encode()
        assert redact(message, values_in_body(body)) == "no ***"

    def test_values_without_a_body(self):
        assert list(values_in_body(None)) == []

    def test_values_of_a_query(self):
        query = [
            ("customerAlias", "acme"),
            ("customerAlias", "b&b"),
            ("customerIds", "1,2"),
            ("limit", "100"),
            ("eventType", "sent"),
        ]
        values = list(values_in_query(query))
        assert {"acme", "b&b"} <= set(values)
        assert not {"100", "sent"} & set(values)

    def test_values_without_a_query(self):
        assert list(values_in_query(None)) == []


class TestRetryAfter:
    @pytest.mark.parametrize(("text", "seconds"), [("0", 0), ("5", 5), ("120", 120), (" 7 ", 7)])
    def test_seconds(self, text, seconds):
        assert parse_retry_after({"Retry-After": text}) == seconds

    @pytest.mark.parametrize(
        ("form", "seconds"),
        [
            ("%a, %d %b %Y %H:%M:%S GMT", 3),
            ("%A, %d-%b-%y %H:%M:%S GMT", 90),
            ("%a %b %e %H:%M:%S %Y", 86400),
        ],
    )
    def test_http_date_in_each_form(self, seconds, form):
        date = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=seconds)
        assert parse_retry_after({"Retry-After": date.strftime(form)}) == pytest.approx(seconds, abs=2)

    def test_past_date_is_zero_seconds(self):
        past = dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)
        assert parse_retry_after({"Retry-After": format_datetime(past, usegmt=True)}) == 0

    @pytest.mark.parametrize(
        "headers",
        [
            {},
            *[
                {"Retry-After": text}
                for text in ["", "soon", "-5", "nan", "inf", "1e9", "9" * 500, "Wed, 99 Foo 2099"]
            ],
        ],
        ids=str,
    )
    def test_missing_or_invalid_header_is_none(self, headers):
        assert parse_retry_after(headers) is None

    @few_examples
    @given(st.text())
    def test_any_text_is_parsed(self, text):
        seconds = parse_retry_after({"Retry-After": text})
        assert seconds is None or seconds >= 0
