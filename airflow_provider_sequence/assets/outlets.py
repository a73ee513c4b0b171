"""What asset events say of the run that they come from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from airflow.providers.common.compat.sdk import Asset, Context

_HAS_EVENT: tuple[Any, ...] = (Asset,)
try:
    from airflow.sdk.definitions.asset import AssetRef
except ImportError:  # Airflow 2 has no references to assets
    pass
else:
    _HAS_EVENT = (Asset, AssetRef)


def set_outlet_extra(context: Context, outlets: Iterable[Any], facts: Mapping[str, Any]) -> None:
    """
    Put facts about a run into the extra of the event of each asset among a task's outlets.

    An alias is left alone: which assets it stands for is for the DAG's author to say.

    :param facts: what can be written as JSON.
    """
    for outlet in outlets:
        if isinstance(outlet, _HAS_EVENT):
            context["outlet_events"][outlet].extra.update(facts)
