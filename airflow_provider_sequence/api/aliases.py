"""Customer aliases: a checked body to create one, and which of those that are listed are in use."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_sequence.api import lossless_json
from airflow_provider_sequence.api.pagination import Item
from airflow_provider_sequence.exceptions import InvalidEventError
from airflow_provider_sequence.unreadable import wrong_type


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


def holders(items: Iterable[Item]) -> set[str]:
    """Ids of the customers that have an alias, out of all that is listed of it: deleted and archived ones are not in use."""
    live = (item for item in items if not (_field(item, "deletedAt") or _field(item, "archivedAt")))
    return {str(_field(item, "customerId")) for item in live}


def _field(item: Item, name: str) -> Any:
    return lossless_json.decode_what_can_be(item.get(name, b"null"))


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
