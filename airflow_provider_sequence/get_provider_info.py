"""Provider metadata, which Airflow reads."""

from __future__ import annotations

from typing import Any

from airflow_provider_sequence import __version__
from airflow_provider_sequence.hooks import connection_fields as connection

_NAME = "Sequence"


def _modules(*names: str) -> list[dict[str, Any]]:
    return [
        {
            "integration-name": _NAME,
            "python-modules": [f"airflow_provider_sequence.{name}" for name in names],
        }
    ]


def _transfer(source: str, target: str, module: str) -> dict[str, str]:
    return {
        "source-integration-name": source,
        "target-integration-name": target,
        "python-module": f"airflow_provider_sequence.transfers.{module}",
    }


def _asset_uris() -> list[dict[str, Any]]:
    module = "airflow_provider_sequence.assets.sequence"
    return [
        {
            "schemes": ["sequence"],
            "handler": f"{module}.sanitize_uri",
            "factory": f"{module}.sequence_asset",
            "to_openlineage_converter": f"{module}.convert_asset_to_openlineage",
        }
    ]


def get_provider_info() -> dict[str, Any]:
    """Return the provider's metadata; this is the only place that declares it."""
    return {
        "package-name": "airflow-provider-sequence",
        "name": _NAME,
        "description": "Usage and seat events from a warehouse to `Sequence <https://www.sequencehq.com>`__, and back.",
        "versions": [__version__],
        "integrations": [
            {
                "integration-name": _NAME,
                "external-doc-url": "https://docs.sequencehq.com",
                "tags": ["service"],
            }
        ],
        "hooks": _modules("hooks.sequence"),
        "operators": _modules("operators.sequence", "operators.push_rows", "operators.reconcile"),
        "sensors": _modules("sensors.sequence"),
        "triggers": _modules("triggers.sequence"),
        "transfers": [
            _transfer("SQL", _NAME, "sql_to_sequence"),
            _transfer(_NAME, "SQL", "sequence_to_sql"),
        ],
        "asset-uris": _asset_uris(),
        "dataset-uris": _asset_uris(),  # what Airflow 2 calls them
        "extra-links": ["airflow_provider_sequence.links.sequence.SequenceDeliveriesLink"],
        "config": {
            "sequence": {
                "description": "Settings of the Sequence provider.",
                "options": {
                    "deliveries": {
                        "description": (
                            "Tables that the page *Sequence deliveries* reads (Airflow 3.1 and later), as JSON: for each name, "
                            "``conn_id`` and ``delivery_log_table``, and, where they are kept, ``runs_table`` and "
                            "``differences_table``. Without it, there is no such page."
                        ),
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": (
                            '{"acme": {"conn_id": "warehouse", "delivery_log_table": "sequence_delivery_log", '
                            '"runs_table": "sequence_runs", "differences_table": "sequence_differences"}}'
                        ),
                        "default": "",
                    }
                },
            }
        },
        "connection-types": [
            {
                "connection-type": connection.CONN_TYPE,
                "hook-name": connection.HOOK_NAME,
                "hook-class-name": connection.HOOK_CLASS,
                "ui-field-behaviour": connection.UI_FIELD_BEHAVIOUR,
                "conn-fields": {name: field.metadata() for name, field in connection.EXTRA_FIELDS.items()},
            }
        ],
    }
