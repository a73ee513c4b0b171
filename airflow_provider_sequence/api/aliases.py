"""Customer aliases: a checked body, and the idempotency key of a retry."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_sequence.api import lossless_json
from airflow_provider_sequence.exceptions import InvalidEventError
from airflow_provider_sequence.unreadable import wrong_type

#: The namespace of idempotency keys. It must never change: the same alias must have the same key in every release.
ALIAS_NAMESPACE = uuid.UUID("5b7b62e0-4a0c-5f0e-a7f5-1d2f6c0d93c1")


@dataclass(frozen=True, slots=True)
class CustomerAlias:
    """
    An alias to create.

    :param customer_id: Sequence's id of the customer.
    :param value: the alias, as events carry it.
    :param label: what people call it, where they do.
    :raises InvalidEventError: if a value can't be sent; it names the field and not the value.
    """

    customer_id: str
    value: str
    label: str | None = None

    def __post_init__(self) -> None:
        for name in ("customer_id", "value"):
            object.__setattr__(self, name, _text(getattr(self, name), name))
        if self.label is not None:
            object.__setattr__(self, "label", _text(self.label, "label"))

    @property
    def fields(self) -> Mapping[str, str]:
        """The fields by the API's names."""
        fields = {"customerId": self.customer_id, "value": self.value}
        return fields if self.label is None else {**fields, "label": self.label}

    @property
    def body(self) -> bytes:
        """JSON, UTF-8, as it is sent."""
        return lossless_json.encode(self.fields)

    @property
    def idempotency_key(self) -> str:
        """A UUIDv5 of all fields: the same for ever."""
        return str(uuid.uuid5(ALIAS_NAMESPACE, self.body.decode()))


def _text(value: Any, field: str) -> str:
    if value is None:
        raise InvalidEventError(field, "is NULL; every alias needs it")
    if isinstance(value, bool) or not isinstance(value, (str, int, uuid.UUID)):
        raise InvalidEventError(field, wrong_type(value, "not text; cast it in the query"))
    text = str(value)
    lossless_json.check_text(text, field)
    if not text.strip():
        raise InvalidEventError(field, "is empty; every alias needs it")
    return text
