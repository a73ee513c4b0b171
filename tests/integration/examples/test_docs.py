"""The guides: their code runs, their links exist, and their tables are those of the package."""

from __future__ import annotations

import ast
import inspect
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_sequence import exceptions
from airflow_provider_sequence.exceptions import SequenceError
from airflow_provider_sequence.transfers.sequence_to_sql import SequenceToSqlOperator
from airflow_provider_sequence.warehouse.dialects import DIALECTS
from dev.resources_page import COMMAND, PAGE, resources_page
from tests.integration.examples.test_dags import CHECKOUT, EXAMPLES
from tests.integration.support.airflow import interval_dag, manual_dag
from tests.integration.support.databases import on_postgres
from tests.integration.support.guides import code_blocks, run_code

DOCS = CHECKOUT / "docs"
GUIDES = sorted(DOCS.glob("*.md"))
PACKAGE = CHECKOUT / "airflow_provider_sequence"

each_guide = pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.stem)


def define(code: str, dag: Any, scope: dict[str, Any]) -> Any:
    """The DAG, with the tasks of a block of code."""
    with dag:
        run_code(code, scope)
    return dag


@pytest.mark.parametrize(
    "guide",
    # The steps of the first push are one DAG: test_cookbook runs them.
    [guide for guide in GUIDES if code_blocks(guide.read_text()) and guide.stem != "start"],
    ids=lambda path: path.stem,
)
def test_code_of_the_guides_runs(guide, airflow_db, sandbox, sequence_conn):
    """In a DAG, with what the code above has imported and defined; Airflow refuses unknown arguments."""
    sandbox.add("customers", [{"id": "0184421e-a9cc-711b-af93-bf0511d4d833"}])
    sandbox.add("usage-metrics", [{"id": "018442e2-7f3b-7c4e-9d0e-6a3a4e0f9b27"}])
    scope: dict[str, Any] = {}
    for code in code_blocks(guide.read_text()):
        define(code, manual_dag(), scope)


def recipes() -> dict[str, str]:
    """The recipes for pulls, by their headings."""
    text = (DOCS / "pull.md").read_text().partition("## Recipes\n")[2]
    heading, *parts = re.split(r"^### (.*)\n", text, flags=re.MULTILINE)
    assert not heading.strip()
    return dict(zip(parts[::2], parts[1::2], strict=True))


#: How many rows each recipe loads into each table, from the demo account and for the interval below. The window of
#: invoices begins on 1 August; lists with ``include_archived`` have one archived item.
LOADED = {
    "Invoices and their line items, for revenue reports": {"invoices": 3, "invoice_line_items": 6},
    "Customers and their contacts": {"customers": 4, "customer_contacts": 4},
    "Quotes": {"quotes": 2},
    "Credits": {"credits": 1, "credit_balances": 1, "credit_grants": 1},
}
INTERVAL = ("2024-09-15", "2024-10-15")


def pull_recipe(title: str, run_dag: Any, sandbox: Any) -> None:
    sandbox._admin("POST", "/_sandbox/demo")
    (code,) = code_blocks(recipes()[title])
    result = run_dag(
        define(code, interval_dag(*INTERVAL), {"SequenceToSqlOperator": SequenceToSqlOperator}), INTERVAL[1]
    )
    assert set(result.states.values()) == {"success"}, result.errors


def test_every_recipe_has_its_row():
    assert LOADED.keys() == recipes().keys()


@pytest.mark.parametrize("title", LOADED)
def test_recipes_load_their_tables(title, run_dag, sandbox, sequence_conn, warehouse):
    pull_recipe(title, run_dag, sandbox)
    tables = {name: warehouse.rows(f"SELECT count(*) FROM {name}")[0][0] for name in warehouse.tables()}
    assert tables == LOADED[title]


@on_postgres
def test_revenue_report_has_the_figures_of_the_lines(run_dag, sandbox, sequence_conn, warehouse):
    title = "Invoices and their line items, for revenue reports"
    pull_recipe(title, run_dag, sandbox)
    (report,) = code_blocks(recipes()[title], "sql")
    rows = warehouse.rows(report)
    # The invoice of October is a draft, and each invoice has two lines: 64.05 and 65.05, 66.05 and 67.05.
    assert sorted((str(day), currency, f"{total:.2f}") for day, _, currency, total in rows) == [
        ("2024-08-01", "GBP", "129.10"),
        ("2024-09-01", "GBP", "133.10"),
    ]


def included() -> list[tuple[Path, str, str]]:
    """The pieces of examples that guides show: the file, and where they start and end."""
    pattern = r"```{literalinclude} (\S+)\n:language: python\n:start-after: \"(.*)\"\n:end-before: \"(.*)\"\n"
    found = [
        ((guide.parent / path).resolve(), start, end)
        for guide in GUIDES
        for path, start, end in re.findall(pattern, guide.read_text())
    ]
    assert len(found) == sum(guide.read_text().count("{literalinclude}") for guide in GUIDES)
    return found


def test_guides_show_every_example():
    """Sphinx is content with an end that is missing."""
    for path, start, end in included():
        text = path.read_text()
        assert text.count(f"# {start}\n") == text.count(f"# {end}\n") == 1
        assert text.index(start) < text.index(end)
    assert {path.name for path, _, _ in included()} == {path.name for path in EXAMPLES.glob("example_*.py")}


def slugs(path: Path) -> set[str]:
    """The anchors that GitHub gives to a file's headings."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", [*GUIDES, CHECKOUT / "README.md"], ids=lambda path: path.stem)
def test_links_have_a_target(path):
    for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", path.read_text()):
        target, _, anchor = link.partition("#")
        there = (path.parent / target).resolve() if target else path
        assert there.is_file(), link
        assert not anchor or anchor in slugs(there), link


def test_every_guide_is_in_the_readme_and_in_the_contents():
    names = {guide.stem for guide in GUIDES} - {"index"}
    readme = (CHECKOUT / "README.md").read_text()
    assert names == set(re.findall(r"\]\(docs/([\w-]+)\.md\)", readme.partition("## Guides")[2]))
    assert names == set(re.findall(r"^([\w-]+)$", (DOCS / "index.md").read_text(), re.MULTILINE))


def test_the_page_of_resources_shows_them():
    assert PAGE.read_text() == resources_page(), f"the page is out of date; run `{COMMAND}`"


#: Rows of DIALECTS under other names than the databases'.
DATABASES = {"postgresql": "PostgreSQL", "clickhousedb": "ClickHouse", "mssql": "SQL Server"}


def test_every_database_is_listed_as_the_package_takes_it():
    lines = re.findall(r"^\| ([^|]+) \| ([^|]+) \|", (DOCS / "databases.md").read_text(), re.MULTILINE)
    listed = {name.lower(): loaded for names, loaded in lines for name in names.split(", ")}
    refused = {name for name in DIALECTS if "refused" in listed[DATABASES.get(name, name).lower()]}
    assert refused == {name for name, row in DIALECTS.items() if not row.writes}


def test_every_extra_of_a_database_can_be_installed():
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    extras = {row.extra for row in DIALECTS.values() if row.extra}
    assert extras == project["optional-dependencies"].keys() - {"sandbox"}


def test_every_error_is_listed():
    errors = {
        name
        for name, kind in inspect.getmembers(exceptions, inspect.isclass)
        if issubclass(kind, SequenceError)
    }
    listed = re.findall(r"`(\w+Error)`", (DOCS / "failures.md").read_text())
    assert errors == set(listed)


def test_listed_messages_are_in_the_package():
    words = {
        node.value
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    listed = [
        piece.strip()
        for line in (DOCS / "failures.md").read_text().partition("## What is refused")[2].splitlines()
        if line.startswith("| ")
        for message in re.findall(r"`([^`]*)`", line.split(" | ")[0])
        for piece in message.split("…")
        if piece.strip()
    ]
    assert len(listed) > 50
    missing = [piece for piece in listed if not any(piece in text for text in words)]
    assert missing == []
