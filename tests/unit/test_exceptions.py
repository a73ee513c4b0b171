"""Exceptions: their messages, pickling and base classes."""

from __future__ import annotations

import pickle

import pytest

from airflow_provider_sequence import exceptions
from airflow_provider_sequence.exceptions import (
    InvalidEventError,
    SequenceApiError,
    SequenceConfigurationError,
    SequenceError,
    SequenceRejectedError,
    SequenceUnavailableError,
)

API_ERRORS = [
    kind
    for kind in vars(exceptions).values()
    if isinstance(kind, type) and issubclass(kind, SequenceApiError)
]


def api_error(kind: type[SequenceApiError] = SequenceRejectedError) -> SequenceApiError:
    return kind("POST", "/usage-events", "customerAlias is required", status=400, error_type="BadRequest")


class TestApiErrors:
    def test_message_has_request_and_response(self):
        error = api_error()
        for part in ["POST", "/usage-events", "customerAlias is required", "400", "BadRequest"]:
            assert part in str(error)
        assert (error.method, error.path, error.status, error.error_type) == (
            "POST",
            "/usage-events",
            400,
            "BadRequest",
        )
        assert error.message == "customerAlias is required"

    def test_message_without_a_response(self):
        error = SequenceUnavailableError("GET", "/usage-metrics", "connection refused")
        assert error.status is None
        assert error.error_type is None
        assert "connection refused" in str(error)
        assert "None" not in str(error)

    @pytest.mark.parametrize("kind", API_ERRORS, ids=lambda kind: kind.__name__)
    def test_pickling(self, kind):
        """Airflow sends errors from one process to another."""
        error = api_error(kind)
        copy = pickle.loads(pickle.dumps(error))
        assert type(copy) is kind
        assert str(copy) == str(error)
        assert vars(copy) == vars(error)
        assert isinstance(error, SequenceError)

    @pytest.mark.parametrize("kind", API_ERRORS, ids=lambda kind: kind.__name__)
    def test_with_message(self, kind):
        error = api_error(kind).with_message("something else")
        assert type(error) is kind
        assert (error.status, error.error_type, error.path) == (400, "BadRequest", "/usage-events")
        assert "something else" in str(error)
        assert "customerAlias" not in str(error)


def test_invalid_event_names_its_field():
    error = InvalidEventError("eventProperties.weight", "is NaN")
    assert str(error) == "eventProperties.weight: is NaN"
    error.event_id = "e"
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.field, copy.reason, str(copy)) == (error.field, error.reason, str(error))


def test_configuration_errors_are_value_errors():
    assert issubclass(SequenceConfigurationError, ValueError)
    assert issubclass(InvalidEventError, ValueError)
    assert not issubclass(SequenceRejectedError, ValueError)
