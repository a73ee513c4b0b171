"""The wheel: its files and metadata, and that the API client and the pipelines run without Airflow."""

from __future__ import annotations

import configparser
import importlib.util
import re
import subprocess
import sys
import venv
import zipfile
from pathlib import Path
from typing import Any

import pytest

import airflow_provider_sequence

CHECKOUT = Path(__file__).resolve().parents[2]


def run(*command: Any, **options: Any) -> str:
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, timeout=120, check=False, **options
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--wheel", "--outdir", folder, "--no-isolation", CHECKOUT)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    return set(zipfile.ZipFile(wheel).namelist())


def read(wheel: Path, ending: str) -> str:
    archive = zipfile.ZipFile(wheel)
    (name,) = [name for name in archive.namelist() if name.endswith(ending)]
    return archive.read(name).decode()


def test_wheel_is_of_any_python_and_of_this_version(wheel):
    assert wheel.name == f"airflow_provider_sequence-{airflow_provider_sequence.__version__}-py3-none-any.whl"


def test_wheel_holds_every_module_and_nothing_else(names):
    here = {
        str(path.relative_to(CHECKOUT))
        for kind in ("*.py", "*.html", "*.css")
        for path in (CHECKOUT / "airflow_provider_sequence").rglob(kind)
    }
    packed = {name for name in names if ".dist-info/" not in name}

    assert here <= packed
    assert "airflow_provider_sequence/py.typed" in packed
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {
        "airflow_provider_sequence"
    }
    assert not [
        name for name in names if re.search(r"(^|/)tests?(/|_)|conftest|__pycache__|\.pyc|\.cache", name)
    ]


def test_wheel_holds_the_licence(wheel):
    assert read(wheel, "licenses/LICENSE") == (CHECKOUT / "LICENSE").read_text()
    assert "License-Expression: Apache-2.0" in read(wheel, "METADATA")


def test_wheel_declares_the_provider(wheel):
    declared = configparser.ConfigParser()
    declared.read_string(read(wheel, "entry_points.txt"))

    assert {name: dict(declared[name]) for name in declared.sections()} == {
        "apache_airflow_provider": {
            "provider_info": "airflow_provider_sequence.get_provider_info:get_provider_info"
        },
        "airflow.plugins": {
            "sequence_deliveries": "airflow_provider_sequence.plugins.sequence:SequenceDeliveriesPlugin"
        },
    }


def test_links_and_pictures_of_the_readme_work_outside_the_checkout(wheel):
    readme = read(wheel, "METADATA")

    assert not re.findall(r"\]\((?!https?:|#)[^)]*\)", readme)
    assert re.search(r"!\[[^]]*\]\(https://[^)]*/raw/main/docs/deliveries-page-light\.png\)", readme)
    assert re.search(r"[^!]\[runs\]\(https://[^)]*/blob/main/docs/runs\.md\)", readme)


def test_wheel_asks_for_what_the_package_imports(wheel):
    required = re.findall(r"^Requires-Dist: ([A-Za-z0-9._-]+)[^;\n]*$", read(wheel, "METADATA"), re.MULTILINE)

    assert {"apache-airflow", "msgspec", "requests", "sqlalchemy"} <= set(required)
    assert not {"pytest", "fastapi", "uvicorn"} & set(required)


def test_wheel_runs_where_it_is_installed(wheel, tmp_path):
    """In an empty environment that sees other people's packages, but neither Airflow nor this checkout."""
    home = tmp_path / "venv"
    venv.create(home, symlinks=True)
    python = home / "bin/python"
    (site,) = home.glob("lib/python*/site-packages")
    run(
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "--no-deps",
        "--no-index",
        "--quiet",
        wheel,
    )

    code = (
        "import airflow_provider_sequence as a; print(a.__file__)\n"
        "from airflow_provider_sequence.get_provider_info import get_provider_info as g; print(g()['versions'])"
    )
    package, versions = run(python, "-c", code, cwd=tmp_path).splitlines()
    assert package == str(site / "airflow_provider_sequence/__init__.py")
    assert versions == str([airflow_provider_sequence.__version__])

    others = Path(importlib.util.find_spec("requests").origin).parents[1]
    (site / "others.pth").write_text(f"{others}\n")
    code = (
        "import sys; sys.modules['airflow'] = None\n"
        "import airflow_provider_sequence.api.client, airflow_provider_sequence.pipelines.push.pipeline\n"
        "import airflow_provider_sequence.pipelines.pull.pipeline\n"
        "print(airflow_provider_sequence.__file__)"
    )
    assert str(site) in run(python, "-c", code, cwd=tmp_path)
