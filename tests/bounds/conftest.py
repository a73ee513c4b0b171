from __future__ import annotations

from airflow_provider_sequence.sandbox.pytest_plugin import _sequence_sandbox_server, sequence_sandbox

__all__ = ["_sequence_sandbox_server", "sequence_sandbox"]
