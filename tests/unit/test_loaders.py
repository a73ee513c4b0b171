"""Files of bulk loads: what the databases read, against the rule written plainly."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_sequence.warehouse.databases.bigquery import to_json_lines
from airflow_provider_sequence.warehouse.loaders import to_csv

_TRICKY = st.sampled_from('\\"\n\r\t\b\f\x00\x1f\x7fu0nrtbf{}[], ')
_TEXT = st.text(st.one_of(_TRICKY, st.characters(exclude_categories=["Cs"])))


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@given(st.lists(st.tuples(_TEXT, _TEXT), min_size=1))
def test_text_is_quoted_with_its_quotes_and_backslashes_escaped(rows: list[tuple[str, str]]) -> None:
    lines = [f"{_quoted(first)},null,{_quoted(second)},7\n" for first, second in rows]
    assert to_csv([(first, None, second, 7) for first, second in rows]).decode() == "".join(lines)


def test_integers_of_json_lines_are_text_which_nothing_rounds() -> None:
    rows = [{"n": 2**53 + 1, "flag": True, "none": None}, {"n": -1, "flag": False, "none": ""}]
    lines = [b'{"n":"9007199254740993","flag":true,"none":null}', b'{"n":"-1","flag":false,"none":""}']
    assert to_json_lines(rows).splitlines() == lines
