"""
What can go wrong, by who can mend it.

No message here carries credentials, a customer's alias or the value of a property: messages name rows by
number, events by id, and fields and settings by name.
"""

from __future__ import annotations


class SequenceError(Exception):
    """Anything this provider raises on its own account."""


class SequenceConfigurationError(SequenceError, ValueError):
    """A setting, a column or a filter is wrong: a retry can't help, the DAG or the connection must change."""


class SequenceApiError(SequenceError):
    """
    Sequence answered with an error.

    :param method: the request's method.
    :param path: the request's path, without its query (filters may hold customers' data).
    :param status: the HTTP status, or None where no answer came.
    :param error_type: the API's own name for the error, where it gave one.
    :param message: the API's own words, or what happened on the way.
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
        """Make the same error with other words, and with another type where one is given."""
        return type(self)(
            self.method, self.path, message, status=self.status, error_type=error_type or self.error_type
        )

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions cross process borders in Airflow; keyword-only arguments need help with that.
        return (_rebuild, (type(self), self.method, self.path, self.message, self.status, self.error_type))


class SequenceAuthenticationError(SequenceApiError):
    """401 or 403: the credentials are wrong or may not do this. A retry can't help."""


class SequenceRejectedError(SequenceApiError):
    """Sequence refused this one request (400, 409, 422 and their like). The same request will be refused again."""


class SequenceUnavailableError(SequenceApiError):
    """No usable answer came until the deadline: connection errors, timeouts, 429 or 5xx. A later try may help."""


class SequenceResponseError(SequenceApiError):
    """An answer came that the API's documents don't allow for, so nothing may be concluded from it."""


class SequenceClientClosedError(SequenceError):
    """The client was closed while a request waited for its turn: the task is being stopped."""


#: Errors that another attempt can't change: the DAG, the connection or the account must.
NON_RETRYABLE = (SequenceConfigurationError, SequenceAuthenticationError, SequenceRejectedError)


class InvalidEventError(SequenceError, ValueError):
    """
    A row can't become an event.

    :param field: the event's field, or the property, that is at fault.
    :param reason: what is wrong with it, without its value.
    """

    #: The event's id, where the row got as far as having one.
    event_id: str | None = None

    def __init__(self, field: str, reason: str) -> None:
        self.field = field
        self.reason = reason
        super().__init__(f"{field}: {reason}")

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (self.field, self.reason))


class RejectedRowsError(SequenceError):
    """More rows were rejected than the task allows. All the others have been delivered."""


class DifferencesError(SequenceError):
    """The warehouse and Sequence differ by more than the task allows."""


class IncompletePullError(SequenceError):
    """Sequence said that there are more items than it gave. The table is as it was before."""


class WarehouseError(SequenceError):
    """
    The warehouse refused a statement, or is away. The message holds the database's own words, not the rows.

    :param permanent: whether the statement is at fault, so that a retry can't help.
    """

    def __init__(self, message: str, permanent: bool = False) -> None:
        self.permanent = permanent
        super().__init__(message, permanent)

    def __str__(self) -> str:
        return str(self.args[0])


def _rebuild(
    kind: type[SequenceApiError],
    method: str,
    path: str,
    message: str,
    status: int | None,
    error_type: str | None,
) -> SequenceApiError:
    return kind(method, path, message, status=status, error_type=error_type)
