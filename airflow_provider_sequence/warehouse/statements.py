"""Check of a user's SQL before it runs: one statement, and a query."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from airflow_provider_sequence.exceptions import SequenceConfigurationError

#: First words of statements that change something. Some databases answer them with a row, and some run each statement
#: in a transaction of its own, so that the change stays.
_NOT_QUERIES = frozenset({
    *("INSERT", "UPDATE", "DELETE", "MERGE", "REPLACE", "UPSERT", "COPY"),
    *("CREATE", "ALTER", "DROP", "TRUNCATE", "GRANT", "REVOKE", "VACUUM", "LOCK"),
    *("SET", "USE", "BEGIN", "START", "COMMIT", "ROLLBACK"),
})


def require_query(sql: object, parameters: object = None) -> None:
    """
    Refuse what is not one query, and its parameters.

    :raises SequenceConfigurationError: if the statement is no text, is of a kind that is no query, or there are several;
        or if the parameters are neither a mapping nor a list.
    """
    if not isinstance(sql, str):
        raise SequenceConfigurationError(f"sql is of type {type(sql).__name__}\nGive one query as text")
    is_list = isinstance(parameters, Sequence) and not isinstance(parameters, (str, bytes))
    if parameters is not None and not is_list and not isinstance(parameters, Mapping):
        raise SequenceConfigurationError(
            f"parameters is of type {type(parameters).__name__}\nGive a dict or a list, in the style of the database's "
            "driver"
        )
    words = _significant_words(sql)
    first = next(words, "")
    while first == "(":
        first = next(words, "")
    verb = _verb_after_with(words) if first == "WITH" else first
    if verb in _NOT_QUERIES:
        raise SequenceConfigurationError(
            f"the statement in sql is no query: it begins with {verb}\nNothing was run; give a SELECT"
        )
    if ";" in words and next(words, None) is not None:
        raise SequenceConfigurationError("sql holds more than one statement\nNothing was run; give one query")


def _significant_words(sql: str) -> Iterator[str]:
    # Not before: it takes longer to import than most of this package, in each parsing of a DAG file.
    from sqlparse import lexer, tokens

    for kind, text in lexer.tokenize(sql):  # type: ignore[no-untyped-call]
        if kind not in tokens.Comment and not text.isspace():
            # A keyword may be of several words: CREATE OR REPLACE.
            yield text if kind in tokens.Literal or kind in tokens.Name else text.upper().split()[0]


def _verb_after_with(words: Iterator[str]) -> str:
    """First word of the statement that follows the common table expressions."""
    depth = 0
    for word in words:
        depth += (word == "(") - (word == ")")
        if depth == 0 and (word in _NOT_QUERIES or word in {"SELECT", "VALUES", "TABLE", "FROM"}):
            return word
    return ""
