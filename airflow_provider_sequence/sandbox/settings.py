"""Every switch of the sandbox: declared once; the command line, the admin API and the guide all read it here."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints


@dataclass(frozen=True)
class SettingInfo:
    """What a switch means, the numbers it takes where it is a number, and what a text must be without."""

    meaning: str
    least: float = 0
    most: float | None = None
    without: str = ""


Edge = Literal["omit", "null", "empty", "cursor"]


@dataclass(frozen=True, kw_only=True)
class SandboxSettings:
    """
    How this sandbox reads what the documents leave open. The first choice of each switch is its default.

    :raises ValueError: a value is not among the choices of its switch.
    """

    client_id: Annotated[str, SettingInfo("User name of HTTP Basic.", without=":")] = "key"
    client_secret: Annotated[str, SettingInfo("Password of HTTP Basic. Never shown by the admin API.")] = (
        "secret"  # noqa: S105
    )

    usage_events_per_minute: Annotated[int, SettingInfo("Budget of `POST /usage-events`; 0 = no limit.")] = (
        12_000
    )
    requests_per_minute: Annotated[int, SettingInfo("Budget of all other requests; 0 = no limit.")] = 1_500
    usage_posts_in_general_budget: Annotated[
        bool, SettingInfo("Whether `POST /usage-events` counts in the general budget as well.")
    ] = False
    rate_algorithm: Annotated[
        Literal["moving_window", "fixed_window", "token_bucket"],
        SettingInfo("The last 60 seconds, the minute of the clock, or a bucket that refills evenly."),
    ] = "moving_window"
    burst: Annotated[
        int, SettingInfo("Tokens a full `token_bucket` holds; 0 = as many as its budget for a minute.")
    ] = 0
    retry_after: Annotated[
        Literal["seconds", "date", "none"], SettingInfo("How a 429 says when to come back, if it does.")
    ] = "seconds"

    default_limit: Annotated[int, SettingInfo("Items on a page when `limit` is left out.", 1, 100)] = 20
    last_page: Annotated[
        Edge,
        SettingInfo(
            "What the last page says for `after`: no field, null, an empty text, or a cursor to an empty page."
        ),
    ] = "omit"
    first_page: Annotated[Edge, SettingInfo("The same for `before` on the first page.")] = "omit"
    total: Annotated[
        Literal["exact", "absent", "null", "estimate_low", "estimate_high"],
        SettingInfo(
            "What `totalResultSize` says; the estimates are a tenth (at least 1) too low or too high."
        ),
    ] = "exact"
    offset_without_cursor: Annotated[
        Literal["from_start", "reject"], SettingInfo("What `offset` means without `after` or `before`.")
    ] = "from_start"
    cursor_style: Annotated[
        Literal["uuid", "uuid_micros_order"],
        SettingInfo("What a cursor is made of: base64 of the id, or of `id#epochMicros#ASC`."),
    ] = "uuid"
    cursor_lifetime_seconds: Annotated[float, SettingInfo("How long a cursor can be used; 0 = for ever.")] = (
        0.0
    )

    after_bound: Annotated[
        Literal["inclusive", "exclusive"], SettingInfo("Whether `eventTimestampAfter` includes its instant.")
    ] = "inclusive"
    before_bound: Annotated[
        Literal["exclusive", "inclusive"], SettingInfo("Whether `eventTimestampBefore` includes its instant.")
    ] = "exclusive"
    timestamp_filter_resolution: Annotated[
        Literal["exact", "second"],
        SettingInfo("Whether the value of a timestamp filter is cut to whole seconds."),
    ] = "exact"
    event_id_filter: Annotated[
        Literal["id", "customer_event_id"], SettingInfo("Which id `eventId` on usage events compares with.")
    ] = "id"
    customer_alias_parameter: Annotated[
        Literal["both", "repeated", "comma"],
        SettingInfo("How `customerAlias` on usage events lists several aliases."),
    ] = "both"
    aliases_separator: Annotated[
        Literal["comma", "repeated", "both"],
        SettingInfo("How `customerAliases` of a metric's calculation lists several aliases."),
    ] = "comma"
    listed_values: Annotated[
        Literal["decoded_after_split", "split_before_decoding"],
        SettingInfo(
            "How comma-separated filters of usage metrics are read: the decoded parameter is split and each "
            "value decoded once more, or the raw query is split and each value decoded once."
        ),
    ] = "decoded_after_split"
    superseded: Annotated[
        Literal["listed", "hidden"], SettingInfo("Whether lists show events that a later one superseded.")
    ] = "listed"
    void_events_unmapped: Annotated[
        bool, SettingInfo("Whether `unmappedAliasesOnly` lists events whose alias is `VOID`.")
    ] = False
    unknown_parameters: Annotated[
        Literal["ignore", "reject"], SettingInfo("Query parameters nobody documented.")
    ] = "ignore"

    unknown_fields: Annotated[Literal["ignore", "reject"], SettingInfo("Body fields nobody documented.")] = (
        "ignore"
    )
    null_fields: Annotated[
        Literal["reject", "absent"],
        SettingInfo(
            "An optional body field that is null, where that is not documented: refused, or as if left out."
        ),
    ] = "reject"
    naive_timestamps: Annotated[
        Literal["utc", "reject"], SettingInfo("Timestamps without an offset, in bodies and in filters.")
    ] = "utc"
    max_text_length: Annotated[
        int, SettingInfo("Characters of an alias, a type or an id in a body; 0 = no limit.")
    ] = 255
    post_status: Annotated[int, SettingInfo("Status of an accepted event.", 200, 299)] = 201
    timestamp_format: Annotated[
        Literal["as_sent", "utc_millis", "offset", "naive"],
        SettingInfo("How `eventTimestamp` comes back: unchanged, `…00.000Z`, `…00+00:00` or `…00`."),
    ] = "as_sent"
    calculated_value: Annotated[
        Literal["number", "text"], SettingInfo("How the calculated value of a metric is written.")
    ] = "number"
    newest_seat_event: Annotated[
        Literal["event_timestamp", "received"], SettingInfo("Which of several seat events makes the balance.")
    ] = "event_timestamp"
    extra_fields: Annotated[bool, SettingInfo("Whether answers carry a field nobody documented.")] = False
    missing_status: Annotated[
        Literal["documented", "customary"],
        SettingInfo(
            "Status for an id that is not there, or an alias that is taken: 400 where no other is documented, or 404 and 409."
        ),
    ] = "documented"
    error_body: Annotated[
        Literal["error", "errors", "text", "html", "empty"],
        SettingInfo(
            "Shape of a refusal: `{error: …}`, `{errors: […]}`, plain text, a gateway's page, nothing."
        ),
    ] = "error"
    latency_ms: Annotated[float, SettingInfo("Milliseconds every answer waits.")] = 0.0

    def __post_init__(self) -> None:
        for switch in SWITCHES.values():
            object.__setattr__(self, switch.name, switch.checked(getattr(self, switch.name)))

    def changed(self, changes: Mapping[str, Any]) -> SandboxSettings:
        """
        Return the settings with ``changes`` applied.

        :raises ValueError: a name is not a switch, or a value is not among its choices.
        """
        for name in changes:
            if name not in SWITCHES:
                raise ValueError(f"{name!r} is not a setting of the sandbox; settings: {', '.join(SWITCHES)}")
        return dataclasses.replace(self, **changes)

    def shown(self) -> dict[str, Any]:
        """Return every switch but the secret."""
        return {name: getattr(self, name) for name in SWITCHES if name != "client_secret"}


#: What a switch without a greatest number takes at most: every number up to it is a float of its own.
_MOST = 2**53


@dataclass(frozen=True)
class Switch:
    """One field of :class:`SandboxSettings`, as the command line and the guide need it."""

    name: str
    kind: type
    choices: tuple[str, ...]
    default: Any
    about: SettingInfo

    @property
    def option(self) -> str:
        """The name as an option of the command line."""
        return "--" + self.name.replace("_", "-")

    def checked(self, value: Any) -> Any:
        """Return ``value`` in the switch's own type; :raises ValueError: it cannot be one."""
        if self.choices:
            if value in self.choices:
                return value
            raise ValueError(f"{self.name} must be one of {', '.join(self.choices)}, not {value!r}")
        if self.kind is str:
            without = self.about.without
            if isinstance(value, str) and value and not (without and without in value):
                return value
            raise ValueError(
                f"{self.name} must be a text, not empty" + (f" and without {without}" if without else "")
            )
        if self.kind is bool:
            if value in (True, False):  # 0 and 1 are equal to these
                return bool(value)
            raise ValueError(f"{self.name} must be true or false, not {value!r}")
        numbers = (int, float) if self.kind is float else (int,)
        if isinstance(value, numbers) and not isinstance(value, bool):
            most = _MOST if self.about.most is None else self.about.most
            if self.about.least <= value <= most:
                return self.kind(value)
        least, most_text = (
            f"{self.about.least:g}",
            "" if self.about.most is None else f" to {self.about.most:g}",
        )
        noun = "a whole number" if self.kind is int else "a number"
        raise ValueError(f"{self.name} must be {noun} from {least}{most_text}, not {value!r}")


def _switches() -> dict[str, Switch]:
    hints = get_type_hints(SandboxSettings, include_extras=True)
    found = {}
    for field in dataclasses.fields(SandboxSettings):
        plain, about = get_args(hints[field.name])
        is_choice = get_origin(plain) is Literal
        found[field.name] = Switch(
            field.name,
            str if is_choice else plain,
            get_args(plain) if is_choice else (),
            field.default,
            about,
        )
    return found


#: Every switch by name, in the order of declaration.
SWITCHES: dict[str, Switch] = _switches()


def reference_table() -> str:
    """Return the switches as the Markdown table of the guide."""
    lines = ["| Option | Choices, the first is the default | Meaning |", "|---|---|---|"]
    for switch in SWITCHES.values():
        choices = switch.choices or ((("false", "true")) if switch.kind is bool else (f"{switch.default}",))
        lines.append(
            f"| `{switch.option}` | {', '.join(f'`{choice}`' for choice in choices)} | {switch.about.meaning} |"
        )
    return "\n".join(lines)
