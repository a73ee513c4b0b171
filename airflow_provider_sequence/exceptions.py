"""
Errors of this provider.

::

    SequenceError
    ├── SequenceConfigurationError (ValueError)   a setting, column or filter is wrong
    ├── SequenceApiError                          a request failed
    │   ├── SequenceAuthenticationError           401, 403
    │   ├── SequenceRejectedError                 Sequence refused this one request: 400, 409, 422, …
    │   ├── SequenceUnavailableError              no usable response until the deadline
    │   │   ├── SequenceGatewayError              refused on the way: a page of a firewall or a gateway
    │   │   └── SequenceGoneError                 what an earlier response named is gone: a cursor, an invoice
    │   └── SequenceResponseError                 a response that the API does not document
    │       └── SequenceResponseTooLargeError     one that is larger than is read of it
    ├── SequenceClientClosedError                 the task is being stopped
    ├── InvalidEventError (ValueError)            a row can't become an event
    ├── RejectedRowsError                         more rejected rows than allowed
    ├── TooFewRowsError                           fewer rows than min_rows
    ├── DifferencesError                          more differences than allowed
    ├── IncompletePullError                       fewer items than Sequence reported
    ├── WarehouseError                            the database refused a statement, or is away
    └── WorkerDiskError                           the worker's temporary folder is full, or can't be used

No message here carries credentials, a customer's alias or the value of a property: messages name rows by
number, events by id, and fields and settings by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class SequenceError(Exception):
    """Base of the errors that this provider raises."""

    #: What the task that failed had done so far, as it would have returned it; None if it had not begun.
    result: Mapping[str, Any] | None = None


class SequenceConfigurationError(SequenceError, ValueError):
    """A setting, a column or a filter is wrong. Non-retryable: the DAG or the connection must change."""


class SequenceApiError(SequenceError):
    """
    A request to Sequence failed.

    :param method: the request's method.
    :param path: the request's path, without its query (filters may hold customers' data).
    :param status: the HTTP status, or None where there was no response.
    :param error_type: the API's own name for the error, where it gave one.
    :param message: the API's message, or what happened on the way.
    """

    def __init__(
        self,
        method: str,
        path: str,
        message: str,
        *,
        status: int | None = None,
        error_type: str | None = None,
    ) -> None:
        self.method = method
        self.path = path
        self.status = status
        self.error_type = error_type
        self.message = message
        #: What happened, without the request: status, type and message.
        self.reason = f"{'' if status is None else f'{status} '}{'' if error_type is None else f'{error_type}: '}{message}"
        super().__init__(f"{method} {path}: {self.reason}")

    def with_message(self, message: str, *, error_type: str | None = None) -> SequenceApiError:
        """Copy of the error with another message, and another type where one is given."""
        return type(self)(
            self.method, self.path, message, status=self.status, error_type=error_type or self.error_type
        )

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions cross process borders in Airflow; keyword-only arguments need help with that.
        return (_rebuild, (type(self), self.method, self.path, self.message, self.status, self.error_type))


class SequenceAuthenticationError(SequenceApiError):
    """401 or 403: the credentials are wrong or may not do this. Non-retryable."""


class SequenceRejectedError(SequenceApiError):
    """Sequence refused this one request (400, 409, 422 and the like). Non-retryable: it would be refused again."""


class SequenceUnavailableError(SequenceApiError):
    """No usable response came before the deadline: connection errors, timeouts, 429 or 5xx. Retryable."""


class SequenceGatewayError(SequenceUnavailableError):
    """
    A 4xx whose body is no JSON: a firewall, a proxy or a gateway refused the request, and not Sequence. Retryable.

    A push rejects the row, if Sequence answers other requests meanwhile.
    """


class SequenceGoneError(SequenceUnavailableError):
    """
    Sequence refused a request that was made of an earlier response: a further page, since its cursor expired, or the
    list below an item that was deleted meanwhile. Retryable: what is read anew holds neither.
    """


class SequenceResponseError(SequenceApiError):
    """A response that the API does not document, so that nothing may be concluded from it."""


class SequenceResponseTooLargeError(SequenceResponseError):
    """A response of more bytes than is read of it: a single item of two megabytes, or an answer that is no item."""


class SequenceClientClosedError(SequenceError):
    """The client was closed while a request waited for its slot: the task is being stopped."""


#: Errors that another attempt can't change: the DAG, the connection or the account must.
NON_RETRYABLE = (SequenceConfigurationError, SequenceAuthenticationError, SequenceRejectedError)


class InvalidEventError(SequenceError, ValueError):
    """
    A row that can't become an event.

    :param field: the event's field, or the property, that is at fault.
    :param reason: what is wrong with it, without its value.
    """

    #: The event's id, where the row got as far as having one.
    event_id: str | None = None
    #: JSON of the row's other fields that are right, where it got that far.
    facts: bytes | None = None

    def __init__(self, field: str, reason: str) -> None:
        self.field = field
        self.reason = reason
        super().__init__(f"{field}: {reason}")

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (self.field, self.reason))


class RejectedRowsError(SequenceError):
    """More rows were rejected than the task allows. All others are delivered."""


class TooFewRowsError(SequenceError):
    """A push or a pull had fewer rows than ``min_rows`` asks for. What there was is delivered, or loaded."""


class DifferencesError(SequenceError):
    """The warehouse and Sequence differ by more than the task allows."""


class IncompletePullError(SequenceError):
    """Sequence reported more items than it gave. The table is as it was before."""


class WarehouseError(SequenceError):
    """
    The warehouse refused a statement, or is away. The message holds the database's own text, and no rows.

    :param permanent: whether the statement is at fault, so that it is non-retryable.
    """

    def __init__(self, message: str, permanent: bool = False) -> None:
        self.permanent = permanent
        super().__init__(message, permanent)

    def __str__(self) -> str:
        return str(self.args[0])


class WorkerDiskError(SequenceError):
    """The worker's temporary folder is full, or can't be used. Retryable: another worker may have room."""


def _rebuild(
    kind: type[SequenceApiError],
    method: str,
    path: str,
    message: str,
    status: int | None,
    error_type: str | None,
) -> SequenceApiError:
    return kind(method, path, message, status=status, error_type=error_type)
