"""Provider metadata, as Airflow reads it."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

import airflow_provider_sequence
from airflow_provider_sequence.get_provider_info import get_provider_info
from airflow_provider_sequence.hooks import connection_fields as connection
from airflow_provider_sequence.hooks.sequence import SequenceHook
from tests.integration.support.airflow import AIRFLOW_VERSION

PACKAGE = "airflow-provider-sequence"


@pytest.fixture(scope="module")
def airflow_output(airflow_db) -> str:
    """What ``airflow providers list`` prints, and then the connection's form, as JSON.

    In a process of its own: before 3.2 the API server puts stand-ins in the place of what the hook imports.
    """
    code = (
        "import json, sys\n"
        "sys.argv = ['airflow', 'providers', 'list', '--output', 'json']\n"
        "from airflow.__main__ import main; main()\n"
        f"from {__name__} import form_of_the_interface as form; print(); print(json.dumps(form()))"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True, env=os.environ)
    return done.stdout


@pytest.fixture(scope="module")
def manager(airflow_db) -> Any:
    from airflow.providers_manager import ProvidersManager

    manager = ProvidersManager()
    manager.initialize_providers_hooks()
    return manager


def test_entry_point_leads_to_the_metadata():
    (entry,) = [each for each in entry_points(group="apache_airflow_provider") if each.dist.name == PACKAGE]

    assert entry.name == "provider_info"
    assert entry.load()() == get_provider_info()


def test_metadata_is_valid_for_airflow():
    import airflow as core

    schema = json.loads((Path(core.__file__).parent / "provider_info.schema.json").read_text())
    jsonschema.validate(get_provider_info(), schema)


def test_metadata_names_the_package_and_its_version():
    info = get_provider_info()

    assert info["package-name"] == PACKAGE
    assert info["versions"][0] == airflow_provider_sequence.__version__


def test_airflow_loads_the_provider(manager):
    provider = manager.providers[PACKAGE]

    assert provider.version == airflow_provider_sequence.__version__
    assert provider.data["name"] == "Sequence"


def test_airflow_finds_the_hook(manager):
    hook = manager.hooks["sequence"]

    assert hook.hook_class_name == "airflow_provider_sequence.hooks.sequence.SequenceHook"
    assert hook.hook_name == SequenceHook.hook_name == "Sequence"
    assert hook.connection_id_attribute_name == SequenceHook.conn_name_attr == "sequence_conn_id"
    assert hook.package_name == PACKAGE
    assert not hook.connection_testable or callable(SequenceHook.test_connection)


def test_connection_gives_its_hook(sequence_conn, airflow_db):
    from airflow.providers.common.compat.sdk import BaseHook

    assert type(BaseHook.get_connection(sequence_conn).get_hook()) is SequenceHook


def test_airflow_providers_list_shows_it(airflow_output):
    # Airflow 3.0 logs to the same stream, with times in brackets.
    rows, _ = json.JSONDecoder().raw_decode(airflow_output[airflow_output.index("[{") :])
    (row,) = [row for row in rows if row["package_name"] == PACKAGE]

    assert row["version"] == airflow_provider_sequence.__version__


def modules() -> list[str]:
    info = get_provider_info()
    listed = [name for kind in ("operators", "sensors", "triggers", "hooks") for each in info.get(kind, [])
              for name in each["python-modules"]]  # fmt: skip
    return [*listed, *(each["python-module"] for each in info["transfers"])]


@pytest.mark.parametrize("name", modules())
def test_listed_module_can_be_imported(name):
    importlib.import_module(name)


def test_every_module_is_listed():
    root = Path(airflow_provider_sequence.__file__).parent
    there = {
        f"airflow_provider_sequence.{kind}.{path.stem}"
        for kind in ("operators", "sensors", "triggers", "transfers")
        for path in (root / kind).glob("[!_]*.py")
        if path.stem not in ("compat", "conditions", "new_events", "state")  # hold no trigger
    }

    assert there <= set(modules())


def test_listed_links_can_be_imported():
    for name in get_provider_info().get("extra-links", []):
        module, _, member = name.rpartition(".")
        assert getattr(importlib.import_module(module), member)


def connection_type() -> dict[str, Any]:
    (declared,) = get_provider_info()["connection-types"]
    return declared


def test_form_has_the_keys_that_the_hook_reads():
    assert set(connection_type()["conn-fields"]) == {
        "api_version",
        "requests_per_minute",
        "usage_events_per_minute",
        "timeout",
        "account",
        "allow_http",
    }


@pytest.mark.parametrize(("name", "field"), connection_type()["conn-fields"].items())
def test_default_of_a_field_is_valid_for_its_own_schema(name, field):
    jsonschema.Draft202012Validator.check_schema(field["schema"])
    jsonschema.validate(field["schema"]["default"], field["schema"])
    assert field["label"]
    assert field["description"]


def test_secret_is_asked_for_as_a_password():
    behaviour = connection_type()["ui-field-behaviour"]

    assert behaviour["relabeling"]["password"] == "Client secret"
    assert "password" not in behaviour["hidden-fields"]
    assert not any("secret" in name for name in connection_type()["conn-fields"])


def test_form_of_the_metadata_and_of_the_hook_agree():
    """Airflow before 3.2 asks the hook, later ones read the metadata."""
    declared = connection_type()
    asked = SequenceHook.get_ui_field_behaviour()

    assert {name.replace("-", "_"): value for name, value in declared["ui-field-behaviour"].items()} == asked
    try:
        widgets = SequenceHook.get_connection_form_widgets()
    except ImportError:  # Airflow 3 lacks what the widgets are made of; both are made of this declaration
        widgets = connection.EXTRA_FIELDS
    assert list(widgets) == list(declared["conn-fields"])


def form_of_the_interface() -> tuple[list[str], str | None]:
    """The fields of a connection's form, and what its login is called, as the interface gets them."""
    try:
        from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService
    except ImportError:  # Airflow 2 makes the form of the hook's own widgets
        from airflow.providers_manager import ProvidersManager

        manager = ProvidersManager()
        prefix = "extra__sequence__"
        names = [
            name.removeprefix(prefix) for name in manager.connection_form_widgets if name.startswith(prefix)
        ]
        return names, manager.field_behaviours["sequence"]["relabeling"]["login"]
    (form,) = [each for each in HookMetaService.hook_meta_data() if each.connection_type == "sequence"]
    return list(form.extra_fields or {}), form.standard_fields and form.standard_fields.login.title


def test_airflow_shows_the_form(airflow_output):
    names, login = json.loads(airflow_output.splitlines()[-1])

    if AIRFLOW_VERSION == (3, 0) and find_spec("flask_appbuilder") is None:
        assert (names, login) == ([], None)  # 3.0 shows the bare form for every provider then
    else:
        assert set(names) == set(connection_type()["conn-fields"])
        assert login == "Client ID"


def test_metadata_is_read_without_the_rest_of_the_package():
    """Airflow reads it at every start of every process."""
    code = (
        "import sys; from airflow_provider_sequence.get_provider_info import get_provider_info; get_provider_info();"
        " print([name for name in ('airflow', 'requests', 'sqlalchemy', 'msgspec') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )

    assert done.stdout.strip() == "[]"


def test_registry_file_names_what_there_is():
    checkout = Path(__file__).resolve().parents[2]
    registry = yaml.safe_load((checkout / ".airflow-registry.yaml").read_text())
    hook = tomllib.loads((checkout / "pyproject.toml").read_text())["tool"]["hatch"]["metadata"]["hooks"][
        "custom"
    ]
    assert registry["package-name"] == get_provider_info()["package-name"]
    assert (registry["source-url"], registry["docs-url"]) == (hook["repository"], hook["documentation"])
    logo = registry["logo"].removeprefix(f"{hook['repository']}/raw/{hook['branch']}/")
    assert (checkout / logo).is_file()
    for kind in ("operators", "transfers", "sensors", "triggers", "hooks"):
        for entry in registry[kind]:
            module, _, name = entry["module"].rpartition(".")
            assert hasattr(importlib.import_module(module), name), entry
