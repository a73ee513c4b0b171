"""SequenceHook: calls Sequence with the credentials of an Airflow connection."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from airflow import __version__ as airflow_version

from airflow_provider_sequence.api import lossless_json
from airflow_provider_sequence.api.aliases import CustomerAlias, holders
from airflow_provider_sequence.api.client import SequenceClient
from airflow_provider_sequence.api.credentials import Secret
from airflow_provider_sequence.api.defaults import ACCOUNT_NAME, PRODUCTION_URL
from airflow_provider_sequence.api.event_mapper import make_event
from airflow_provider_sequence.api.events import EventKind
from airflow_provider_sequence.api.pagination import Item
from airflow_provider_sequence.api.resource import Resource
from airflow_provider_sequence.api.resources import SEAT_EVENTS, USAGE_EVENTS, get_resource
from airflow_provider_sequence.api.windows import Window
from airflow_provider_sequence.compat import (
    AirflowException,
    AirflowNotFoundException,
    BaseHook,
    Connection,
)
from airflow_provider_sequence.exceptions import (
    SequenceAuthenticationError,
    SequenceClientClosedError,
    SequenceConfigurationError,
    SequenceError,
    SequenceRejectedError,
)
from airflow_provider_sequence.hooks import connection_fields as conn_form


class SequenceHook(BaseHook):
    """
    Hook that calls Sequence with the credentials of an Airflow connection.

    The connection's host is the API's base URL (Sequence's production where it is empty), its login the client id,
    its password the client secret. Of its extra, these keys are read: ``api_version``, ``requests_per_minute``,
    ``usage_events_per_minute``, ``timeout``, ``account``, ``allow_http``.

    :param sequence_conn_id: the :ref:`connection <howto/connection:sequence>`.
    :param client_options: further options of :class:`~airflow_provider_sequence.api.client.SequenceClient`.
    """

    conn_name_attr = "sequence_conn_id"
    default_conn_name = conn_form.DEFAULT_CONN_ID
    conn_type = conn_form.CONN_TYPE
    hook_name = conn_form.HOOK_NAME

    def __init__(self, sequence_conn_id: str = default_conn_name, **client_options: Any) -> None:
        super().__init__()
        self.sequence_conn_id = sequence_conn_id
        self._client_options = client_options
        self._client: SequenceClient | None = None
        self._ended = False

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """Return the form's fields, for Airflow before 3.2; later ones read the provider's metadata."""
        from flask_appbuilder.fieldwidgets import BS3TextFieldWidget
        from flask_babel import lazy_gettext
        from wtforms import BooleanField, IntegerField, StringField
        from wtforms.validators import Optional

        fields = {str: StringField, bool: BooleanField}
        return {
            name: fields.get(type(field.default), IntegerField)(
                lazy_gettext(field.label),
                # A checkbox as a text would be "y", whatever it is.
                widget=None if isinstance(field.default, bool) else BS3TextFieldWidget(),
                validators=[Optional()],
                description=field.description,
                default=field.default,
            )
            for name, field in conn_form.EXTRA_FIELDS.items()
        }

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Return how the form shows the connection's own fields, for Airflow before 3.2."""
        behaviour = conn_form.UI_FIELD_BEHAVIOUR
        return {
            "hidden_fields": behaviour["hidden-fields"],
            "relabeling": behaviour["relabeling"],
            "placeholders": behaviour["placeholders"],
        }

    @property
    def client(self) -> SequenceClient:
        """
        The connection's client; the same one at each call, until it is closed.

        :raises SequenceClientClosedError: after :meth:`end`.
        :raises SequenceConfigurationError: if there is no such connection, or a field of it is wrong.
        """
        if self._ended:
            raise SequenceClientClosedError("the task is being stopped")
        if self._client is None or self._client.closed:
            self._client = make_client(self._connection(), **self._client_options)
        return self._client

    def _connection(self) -> Connection:
        try:
            return self.get_connection(self.sequence_conn_id)
        except AirflowNotFoundException:
            raise SequenceConfigurationError(
                f"there is no connection {self.sequence_conn_id}\n"
                "Make one of the type Sequence, or name another with sequence_conn_id"
            ) from None

    def close(self) -> None:
        """Close the client, if there is one; this ends its waits for a slot or a retry."""
        if self._client is not None:
            self._client.close()

    def end(self) -> None:
        """Close the client, and make no other: for a task that is being stopped, maybe before it has made one."""
        self._ended = True
        self.close()

    def get_conn(self) -> SequenceClient:
        """Return :attr:`client`."""
        return self.client

    def test_connection(self) -> tuple[bool, str]:
        """Make the cheapest request that needs valid credentials; say what is wrong if it fails."""
        try:
            self.client.verify_credentials()
        except SequenceAuthenticationError as e:
            return False, f"Sequence refused the credentials. {e}"
        except (SequenceError, AirflowException) as e:
            return False, str(e)
        except Exception as e:  # noqa: BLE001  the form shows it; its text may hold what ours don't
            return False, f"{type(e).__name__}: the connection could not be read, or the request not be made"
        return True, "Sequence accepted the credentials"

    def list(
        self,
        resource: str,
        *,
        window_start: Any = None,
        window_end: Any = None,
        time_field: str | None = None,
        **filters: Any,
    ) -> Iterator[dict[str, Any]]:
        """
        List a resource's items, newest first, one page in memory at a time.

        :param resource: a name such as ``usage_events``.
        :param window_start: first time of the half-open window, where one is wanted.
        :param window_end: first time after it.
        :param time_field: which time the window is about, where there are several, such as ``sent_date`` of invoices.
        :param filters: filters of the resource.
        :return: the items' fields by the API's names; numbers that are no integers are Decimals.
        """
        items = self.client.items(
            get_resource(resource).by_time(time_field), filters, _window(window_start, window_end)
        )
        return map(_decoded, items)

    def count(
        self,
        resource: str,
        *,
        window_start: Any = None,
        window_end: Any = None,
        time_field: str | None = None,
        **filters: Any,
    ) -> int:
        """
        Count a resource's items.

        :param resource: a name such as ``usage_events``.
        :param window_start: first time of the half-open window, where one is wanted.
        :param window_end: first time after it.
        :param time_field: which time the window is about, where there are several.
        :param filters: filters of the resource.
        """
        counted = get_resource(resource).by_time(time_field)
        return self.client.count(counted, filters, _window(window_start, window_end))

    def create_usage_event(
        self,
        *,
        customer_event_id: str,
        customer_alias: str,
        event_type: str,
        event_timestamp: Any,
        event_properties: Mapping[str, Any] | str | None = None,
    ) -> str:
        """
        Create one usage event.

        :param customer_event_id: its id; another event with the same id supersedes this one.
        :param customer_alias: who used something.
        :param event_type: what was used.
        :param event_timestamp: when; a datetime or ISO 8601 text, UTC where it has no zone.
        :param event_properties: further facts that metrics may refer to; text is JSON, and sent as it is written.
        :return: the id that Sequence gave it.
        :raises InvalidEventError: if a value can't be sent.
        :raises SequenceApiError: if Sequence refuses it or can't be reached.
        """
        fields = {
            "customer_event_id": customer_event_id,
            "customer_alias": customer_alias,
            "event_type": event_type,
            "event_timestamp": event_timestamp,
            "event_properties": event_properties,
        }
        return self._create(USAGE_EVENTS, fields)

    def create_seat_event(
        self, *, customer_event_id: str, customer_alias: str, seat_type: str, event_timestamp: Any, total: int
    ) -> str:
        """
        Create one seat event.

        :param customer_event_id: its id; another event with the same id supersedes this one.
        :param customer_alias: whose seats.
        :param seat_type: which seats.
        :param event_timestamp: since when; a datetime or ISO 8601 text, UTC where it has no zone.
        :param total: how many seats are in use; not a change.
        :return: the id that Sequence gave it.
        :raises InvalidEventError: if a value can't be sent.
        :raises SequenceApiError: if Sequence refuses it or can't be reached.
        """
        fields = {
            "customer_event_id": customer_event_id,
            "customer_alias": customer_alias,
            "seat_type": seat_type,
            "event_timestamp": event_timestamp,
            "total": total,
        }
        return self._create(SEAT_EVENTS, fields)

    def calculate_metric(
        self,
        metric_id: str,
        customer_aliases: str | Iterable[str],
        period_start: Any,
        period_end: Any,
        custom_parameters: Mapping[str, Any] | str | None = None,
    ) -> dict[str, Any]:
        """
        Calculate what a usage metric counted in the period ``[period_start, period_end)``.

        See :meth:`~airflow_provider_sequence.api.client.SequenceClient.calculate_metric` for what is right under
        which reading of the API's documents: whole days in UTC always are.

        :param metric_id: the metric's id.
        :param customer_aliases: one alias or several; several only of a metric that counts or sums.
        :param period_start: first time of the period; a datetime, a date or ISO 8601 text.
        :param period_end: first time after it.
        :param custom_parameters: values of the metric's parameters by their names, where not the defaults.
        :return: the answer's fields by the API's names; ``eventCount`` an int, ``value`` an int or a Decimal.
        """
        return self.client.calculate_metric(
            metric_id, customer_aliases, Window.parse(period_start, period_end, "period"), custom_parameters
        )

    def seat_balances(self) -> Iterator[dict[str, Any]]:
        """List how many seats each customer has in use."""
        return map(_decoded, self.client.seat_balances())

    def customer_aliases(self, value: str | None = None) -> Iterator[dict[str, Any]]:
        """
        List customers' aliases.

        :param value: this alias only, to the character.
        """
        return map(_decoded, self.client.customer_aliases(value))

    def create_customer_alias(self, customer_id: str, value: str, label: str | None = None) -> dict[str, Any]:
        """
        Give a customer an alias. Idempotent: an alias that the customer has already is returned as it is.

        :param customer_id: Sequence's id of the customer.
        :param value: the alias, as events carry it.
        :param label: what people call it.
        :return: the alias's fields.
        :raises SequenceRejectedError: if Sequence refuses it, because another customer has it, for example.
        """
        try:
            return _decoded(self.client.create_customer_alias(CustomerAlias(customer_id, value, label)))
        except SequenceRejectedError:
            for item in self.client.customer_aliases(value):
                if customer_id in holders([item]):
                    return _decoded(item)
            raise

    def _create(self, resource: Resource, fields: Mapping[str, Any]) -> str:
        if not isinstance(resource.event, EventKind):
            raise SequenceConfigurationError(f"{resource.name} can't be created")
        return self.client.create(resource, make_event(resource.event, fields))


def make_client(connection: Connection, **options: Any) -> SequenceClient:
    """
    Make a client of a connection.

    :param options: options of the client that are no fields of the connection.
    :raises SequenceConfigurationError: if a field of the connection is wrong; it names the field.
    """
    if connection.conn_type not in {SequenceHook.conn_type, "", None}:
        raise SequenceConfigurationError(
            f"the connection {connection.conn_id} is of type {connection.conn_type}, and not of type "
            f"{SequenceHook.conn_type}\nName one to Sequence in sequence_conn_id"
        )
    host, port, login = connection.host or PRODUCTION_URL, connection.port, connection.login or ""
    secret, extra_text = Secret(connection.password or ""), connection.extra or "{}"
    name = f"the connection {connection.conn_id}" if connection.conn_id else ""
    # Its own text shows the password, and what is wrong may be reported with the local variables of this frame.
    del connection
    try:
        extra = json.loads(extra_text)
    except ValueError:
        extra = None
    if not isinstance(extra, dict):
        raise SequenceConfigurationError("the connection's extra is no JSON object")
    settings = {name: _extra(extra.get(name), name) for name in conn_form.EXTRA_FIELDS}
    check_account_name(str(settings.pop("account")))
    return SequenceClient(
        _base_url(host, port),
        login,
        secret,
        user_agent=f"apache-airflow/{airflow_version}",
        name=name,
        **{**settings, **options},
    )


def _base_url(host: str, port: Any) -> str:
    """Base URL with the connection's port, where the host names none."""
    if not port:
        return host
    try:
        parts = urlsplit(host.strip())
        named, port = parts.port, int(port)
    except ValueError:
        raise SequenceConfigurationError(
            "the host is no address of the form https://eu.sequencehq.com/api, or the port is no number"
        ) from None
    if named is None:
        return parts._replace(netloc=f"{parts.netloc}:{port}").geturl()
    if named != port:
        raise SequenceConfigurationError(
            f"the host names port {named}, and the connection's port is {port}\nLeave one out"
        )
    return host


def account_name(connection: Connection) -> str:
    """Find your own name of the account in a connection; empty where it has none."""
    return str(connection.extra_dejson.get("account") or "")


def check_account_name(name: str) -> None:
    """
    Check a connection's name of the account: it is the host of its assets' URIs.

    :raises SequenceConfigurationError: if it has other characters than those may have.
    """
    if name and not re.fullmatch(ACCOUNT_NAME, name):
        raise SequenceConfigurationError(
            "account in the connection's extra is no name of letters, digits, '.', '_' and '-', as in an asset's URI"
        )


def _extra(value: Any, name: str) -> Any:
    default = conn_form.EXTRA_FIELDS[name].default
    if value is None or value == "":
        return default
    if isinstance(default, str):
        return str(value)
    if isinstance(default, bool):
        if str(value).lower() not in {"true", "false"}:
            raise SequenceConfigurationError(f"{name} in the connection's extra is neither true nor false")
        return str(value).lower() == "true"
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 < number < math.inf:
        raise SequenceConfigurationError(f"{name} in the connection's extra is no number greater than 0")
    return number


def _window(start: Any, end: Any) -> Window | None:
    return None if start is None and end is None else Window.parse(start, end)


def _decoded(item: Item) -> dict[str, Any]:
    return {name: lossless_json.decode_what_can_be(raw) for name, raw in item.items()}
