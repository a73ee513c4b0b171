"""State of a trigger that survives restarts of the triggerer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from airflow.triggers.base import BaseTrigger
from asgiref.sync import sync_to_async

from airflow_provider_sequence.compat import Variable


class TriggerState:
    """
    A JSON object under a name.

    It is in the state store of the watched asset where Airflow has one (3.3), or else an Airflow Variable, as it is
    for a trigger that watches several assets.

    :param trigger: whose state it is; it runs in a triggerer.
    :param prefix: how the name begins.
    :param about: what the state is about; its name stays the same as long as this does.
    """

    def __init__(self, trigger: BaseTrigger, prefix: str, about: Mapping[str, Any]) -> None:
        arguments = json.dumps(about, sort_keys=True)
        self.name = f"{prefix}_{sha256(arguments.encode()).hexdigest()[:16]}"
        self._assets = getattr(trigger, "asset_state_store", None)

    async def load(self) -> dict[str, Any]:
        """Return what was saved last; an empty object where nothing was."""
        if self._assets is not None:
            try:
                return dict(await self._assets.aget(self.name) or {})
            except ValueError as e:
                if type(e) is not ValueError:
                    raise
                # Several assets share the trigger, and their states can't be distinguished.
                self._assets = None
        return dict(await sync_to_async(Variable.get)(self.name, {}, deserialize_json=True))

    async def save(self, value: dict[str, Any]) -> None:
        """Replace it; :meth:`load` comes first."""
        if self._assets is not None:
            await self._assets.aset(self.name, value)
        else:
            await sync_to_async(Variable.set)(self.name, value, serialize_json=True)
