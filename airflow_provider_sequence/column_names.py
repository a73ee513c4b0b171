"""Column names: how a name that a user wrote finds a column of the query."""

from __future__ import annotations

from collections.abc import Iterable

from airflow_provider_sequence.exceptions import SequenceConfigurationError


def find_column(name: str, columns: Iterable[str]) -> str | None:
    """
    Find a column by its name, in any case: databases give unquoted names in capitals, or in lower case.

    :param name: a name as the user or a document spells it.
    :param columns: the names that the query gives.
    :return: the column's own name; the one in the same case if there are several; None if there is none.
    :raises SequenceConfigurationError: if there are several, all in another case.
    """
    found = [column for column in columns if column.casefold() == name.casefold()]
    if name in found:
        return name
    if len(found) > 1:
        raise SequenceConfigurationError(
            f"{name} may be {' or '.join(found)}, which the query gives both\nName one as the query does"
        )
    return found[0] if found else None
