"""Errors cross processes, and name what to look at."""

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
)

API_ERRORS = [
    kind
    for kind in vars(exceptions).values()
    if isinstance(kind, type) and issubclass(kind, SequenceApiError)
]


@pytest.mark.parametrize("kind", API_ERRORS, ids=lambda kind: kind.__name__)
class TestApiErrors:
    def make(self, kind: type[SequenceApiError]) -> SequenceApiError:
        return kind("POST", "/usage-events", "customerAlias is required", status=400, error_type="BadRequest")

    def test_say_what_was_asked_and_what_came_back(self, kind):
        error = self.make(kind)
        for part in ["POST", "/usage-events", "customerAlias is required", "400", "BadRequest"]:
            assert part in str(error)
        assert (error.method, error.path, error.status, error.error_type) == (
            "POST",
            "/usage-events",
            400,
            "BadRequest",
        )
        assert error.message == "customerAlias is required"

    def test_survive_pickling(self, kind):
        """Airflow carries errors from one process to another."""
        error = self.make(kind)
        copy = pickle.loads(pickle.dumps(error))
        assert type(copy) is kind
        assert str(copy) == str(error)
        assert vars(copy) == vars(error)

    def test_without_an_answer(self, kind):
        error = kind("GET", "/usage-metrics", "connection refused")
        assert error.status is None
        assert error.error_type is None
        assert "connection refused" in str(error)
        assert "None" not in str(error)

    def test_other_words_for_the_same(self, kind):
        error = self.make(kind).with_message("something else")
        assert type(error) is kind
        assert (error.status, error.error_type, error.path) == (400, "BadRequest", "/usage-events")
        assert "something else" in str(error)
        assert "customerAlias" not in str(error)

    def test_can_be_caught_together(self, kind):
        assert issubclass(kind, SequenceError)


def test_an_invalid_event_names_its_field():
    error = InvalidEventError("eventProperties.weight", "is NaN")
    assert str(error) == "eventProperties.weight: is NaN"
    error.event_id = "e"
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.field, copy.reason, str(copy)) == (error.field, error.reason, str(error))


def test_who_can_mend_it():
    assert issubclass(SequenceConfigurationError, ValueError)
    assert issubclass(InvalidEventError, ValueError)
    assert not issubclass(SequenceRejectedError, ValueError)
