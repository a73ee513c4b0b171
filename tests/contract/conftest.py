import pytest

from tests.contract.world import populate
from tests.support.server import sequence_server, server

__all__ = ["sequence_server", "server", "world"]


@pytest.fixture
def world(server):
    return populate(server)
