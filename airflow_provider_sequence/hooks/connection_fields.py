"""Connection fields and their defaults, declared once for the form, the metadata and the hook."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_sequence.api import defaults

CONN_TYPE = "sequence"
HOOK_NAME = "Sequence"
HOOK_CLASS = "airflow_provider_sequence.hooks.sequence.SequenceHook"
DEFAULT_CONN_ID = "sequence_default"


@dataclass(frozen=True, slots=True)
class ExtraField:
    """
    One named key of the connection's extra.

    :param label: what the form calls it.
    :param description: what the form says of it.
    :param default: its value where the connection does not set it.
    """

    label: str
    description: str
    default: str | float | bool

    def metadata(self) -> dict[str, Any]:
        """Return what Airflow 3.2 and later read from the provider's metadata."""
        schema: dict[str, Any] = {"type": ["string", "null"], "default": self.default}
        if isinstance(self.default, bool):
            schema["type"] = ["boolean", "null"]
        elif not isinstance(self.default, str):
            schema = {"type": ["number", "null"], "default": self.default, "minimum": 1}
        return {"label": self.label, "description": self.description, "schema": schema}


EXTRA_FIELDS: Mapping[str, ExtraField] = {
    "api_version": ExtraField("API version", "The Sequence-Version that is asked for.", defaults.API_VERSION),
    "requests_per_minute": ExtraField(
        "Requests per minute",
        "The account's limit for all requests but creating usage events.",
        defaults.REQUESTS_PER_MINUTE,
    ),
    "usage_events_per_minute": ExtraField(
        "Usage events per minute",
        "The account's limit for creating usage events.",
        defaults.USAGE_EVENTS_PER_MINUTE,
    ),
    "timeout": ExtraField(
        "Timeout",
        "Seconds without a byte of an answer after which a request is tried again.",
        defaults.READ_TIMEOUT,
    ),
    "account": ExtraField(
        "Account", "Your own name of the account, as in its assets: the namespace in OpenLineage.", ""
    ),
    "allow_http": ExtraField(
        "Allow plain http",
        "Whether the base URL may be a plain http one of another machine. The secret can be read on the way there.",
        False,
    ),
}

UI_FIELD_BEHAVIOUR: dict[str, Any] = {
    "hidden-fields": ["schema", "port", "extra"],
    "relabeling": {"host": "Base URL", "login": "Client ID", "password": "Client secret"},
    "placeholders": {
        "host": defaults.PRODUCTION_URL,
        "login": "of an API client made in Sequence's dashboard",
        "password": "shown once, when the API client is made",
        **{name: str(field.default) for name, field in EXTRA_FIELDS.items()},
    },
}
