from __future__ import annotations

from tests.support.server import sequence_server, server

__all__ = ["sequence_server", "server"]
