"""Code in the guides: its blocks, and how they are run."""

from __future__ import annotations

import re
import textwrap
from typing import Any


def code_blocks(text: str, language: str = "python") -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def run_code(code: str, scope: dict[str, Any] | None = None) -> dict[str, Any]:
    """
    Run code that imports what it needs, as a guide has it, whose imports are those of Airflow 3.

    :param scope: what earlier code has imported and defined.
    :return: that, and what this code adds.
    """
    scope = {} if scope is None else scope
    code = code.replace("from airflow.sdk import", "from airflow.providers.common.compat.sdk import")
    exec(compile(textwrap.dedent(code), "guide", "exec"), scope)
    return scope
