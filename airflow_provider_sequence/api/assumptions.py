"""
Register of assumptions about the API: what its documents leave open, and how the client deals with it.

Pure data. docs/assumptions.md is generated from it, and ``dev/check_account.py`` settles what reading an account can settle.
"""

from __future__ import annotations

from dataclasses import dataclass

_API = "airflow_provider_sequence.api."
_PIPELINES = "airflow_provider_sequence.pipelines."
_TRIGGERS = "airflow_provider_sequence.triggers."


@dataclass(frozen=True)
class Assumption:
    """
    An assumption about the API.

    :param name: identifies it, in comments as well.
    :param question: what the API's documents leave open.
    :param taken: what the client does about it.
    :param otherwise: what happens to the user if it is otherwise.
    :param code: import paths of the attributes that deal with it.
    :param switches: switches of the sandbox that turn it.
    :param request: the request that settles it on a live account.
    :param reads_only: whether that request only reads.
    """

    name: str
    question: str
    taken: str
    otherwise: str
    code: tuple[str, ...]
    switches: tuple[str, ...]
    request: str
    reads_only: bool


#: All assumptions: windows, lists, filters, events in lists, metrics, timestamps, seats, errors and limits, bodies.
ASSUMPTIONS: tuple[Assumption, ...] = (
    Assumption(
        name="window-bounds",
        question="Do eventTimestampAfter and eventTimestampBefore include their bound?",
        taken="Asks for a second more on either side, and keeps the events that belong to the window.",
        otherwise="Nothing: it is right under each reading.",
        code=(
            _API + "windows.MARGIN",
            _API + "windows.Window.widened",
            _API + "windows.Window.margins",
            _API + "resource.Selection.__contains__",
        ),
        switches=("after_bound", "before_bound"),
        request="GET /usage-events?eventTimestampAfter=<the timestamp of a known event>, and the same with "
        "eventTimestampBefore",
        reads_only=True,
    ),
    Assumption(
        name="filter-precision",
        question="How finely are eventTimestampAfter and eventTimestampBefore compared?",
        taken="Asks in whole seconds, and keeps the events that belong to the window.",
        otherwise="If whole minutes or days are compared, the events in the cut part of a window are missed.",
        code=(_API + "windows.Window.widened",),
        switches=("timestamp_filter_resolution",),
        request="GET /usage-events?eventTimestampAfter=<a millisecond after the timestamp of a known event that has a "
        "fraction of a second>",
        reads_only=True,
    ),
    Assumption(
        name="window-time",
        question="Are these filters about the event's own timestamp, or about the time of its arrival?",
        taken="The event's own timestamp, as the names suggest.",
        otherwise="Pulls, sensors and reconciliations of a window miss the events that arrived outside it.",
        code=(_API + "resources.USAGE_EVENTS", _API + "resources.SEAT_EVENTS"),
        switches=(),
        request="GET /usage-events?eventTimestampAfter=<a second before>&eventTimestampBefore=<a second after the "
        "timestamp of a known event that arrived on another day>",
        reads_only=True,
    ),
    Assumption(
        name="date-bounds",
        question="Do filters on dates, such as dueAfter and dueBefore, include their bound?",
        taken="Asks for a day more on either side, and keeps the items that belong to the window.",
        otherwise="Nothing: it is right under each reading.",
        code=(_API + "resource.TimeFilter.widen",),
        switches=("after_bound", "before_bound"),
        request="GET /invoices?dueAfter=<the due date of a known invoice>, and the same with dueBefore",
        reads_only=True,
    ),
    Assumption(
        name="list-ends",
        question="What stands for `after` on a list's last page, and for `before` on its first: nothing, null, an empty "
        "text, or a cursor to an empty page?",
        taken="Each of these in `after` ends the list, and an empty page's own cursor is not followed; `before` is not "
        "read. A cursor that comes a second time is an error, and so are pages that come again under new cursors.",
        otherwise="A list that ends in another way fails with SequenceResponseError.",
        code=(_API + "pagination.parse_page", _API + "pagination.iterate_pages"),
        switches=("last_page", "first_page"),
        request="GET /usage-metrics?limit=100, to its last page",
        reads_only=True,
    ),
    Assumption(
        name="cursor-lifetime",
        question="How long can a cursor be used?",
        taken="Follows cursors without a pause. All parents are listed before the first of the lists below them. Where a "
        "further page is refused, pulls and reconciliations read the list anew, three times at most; sensors poke again.",
        otherwise="A list that takes longer than a cursor lives can't be read: the task fails, is retried, and loads nothing.",
        code=(
            _API + "client.SequenceClient.items",
            _API + "pagination.read_whole",
            _PIPELINES + "pull.scans.ListScan.pages",
        ),
        switches=("cursor_lifetime_seconds",),
        request="GET /usage-events?limit=1&after=<a cursor that was given some time ago>",
        reads_only=True,
    ),
    Assumption(
        name="cursor-form",
        question="What are cursors made of?",
        taken="They are opaque: passed back as they came, and never made.",
        otherwise="Nothing: it is right under each reading.",
        code=(_API + "pagination.iterate_pages",),
        switches=("cursor_style",),
        request="GET /usage-events?limit=1",
        reads_only=True,
    ),
    Assumption(
        name="total",
        question="Is totalResultSize always there, is it exact, and is it the total of the moment?",
        taken="Where there is a total, it is exact; a list that gives fewer items is read again, since items that arrive "
        "meanwhile raise it. Where there is none, counts are made by reading the list.",
        otherwise="If it is too high, pulls fail with IncompletePullError, and counts of more than one page are too high. "
        "If it is too low, such counts are too low, and a pull can't notice that items are missing.",
        code=(
            _API + "client.SequenceClient.count",
            _API + "pagination.MAX_READS",
            _PIPELINES + "pull.scans.ListScan.split",
        ),
        switches=("total",),
        request="GET /usage-events?limit=100&eventTimestampAfter=<…>&eventTimestampBefore=<…>, all pages counted",
        reads_only=True,
    ),
    Assumption(
        name="default-limit",
        question="How many items has a page when limit is left out?",
        taken="Every list is asked for with a limit.",
        otherwise="Nothing: it is right under each reading.",
        code=(_API + "answer_size.PAGE_LIMIT", _API + "client.SequenceClient.pages"),
        switches=("default_limit",),
        request="GET /usage-events",
        reads_only=True,
    ),
    Assumption(
        name="offset-without-cursor",
        question="What does offset mean without after or before?",
        taken="Passed on as the user gave it, with the first page only. Pulls and counts, which want whole lists, refuse it.",
        otherwise="If it is refused without a cursor, listing with this filter fails with SequenceRejectedError.",
        code=(_API + "resource.Filter.skips_items", _API + "client.SequenceClient.pages"),
        switches=("offset_without_cursor",),
        request="GET /usage-events?limit=1&offset=1",
        reads_only=True,
    ),
    Assumption(
        name="event-id-filter",
        question="Does eventId on usage events mean Sequence's id or customerEventId?",
        taken="Either. What comes is compared on the client, and an event is looked up by its timestamp as well.",
        otherwise="If it means neither, the filter event_id finds nothing.",
        code=(_API + "resource.Filter.match_fields", _API + "client.SequenceClient.is_superseded"),
        switches=("event_id_filter",),
        request="GET /usage-events?eventId=<the id of a known event>, and the same with its customerEventId",
        reads_only=True,
    ),
    Assumption(
        name="alias-list",
        question="Are several customerAlias of usage events, and customerAliases of seat balances, repeated parameters or "
        "separated by commas, and is a comma or a percent sign in an alias safe?",
        taken="Asks for one alias a request. An alias with a comma or a percent sign is not sent: the list is read "
        "without this filter, and compared on the client.",
        otherwise="Nothing: it is right under each reading.",
        code=(
            _API + "resource.Filter.max_values",
            _API + "resource.Filter.is_ambiguous",
            _API + "query_params.may_be_a_list",
        ),
        switches=("customer_alias_parameter",),
        request="GET /usage-events?customerAlias=<a>&customerAlias=<b>, and GET /usage-events?customerAlias=<a>,<b>",
        reads_only=True,
    ),
    Assumption(
        name="customer-id-as-alias",
        question="Does customerAliases of seat balances take a customer's id as well?",
        taken="Keeps the customers that have the alias, or whose id it is.",
        otherwise="Nothing: it is right under each reading.",
        code=(_API + "resources.SEAT_BALANCES",),
        switches=(),
        request="GET /seat-balances?customerAliases=<the id of a known customer>",
        reads_only=True,
    ),
    Assumption(
        name="currency-list",
        question="Does invoiceCurrency of invoice summaries take several currencies, separated by commas, as that of invoices "
        "does?",
        taken="Asks for one currency a request, and compares it on the client. exclude_invoice_currency takes one there.",
        otherwise="Nothing: it is right under each reading.",
        code=(_API + "resource.Filter.max_values", _API + "resources.RESOURCES"),
        switches=(),
        request="GET /invoices/list-summary?invoiceCurrency=<a>,<b>",
        reads_only=True,
    ),
    Assumption(
        name="merchants",
        question="Which list gives the ids of the merchants whose tax registrations can be listed?",
        taken="The list of tax registrations: merchants are those that it names. They have no list of their own.",
        otherwise="`merchant_tax_registrations` lacks those of a merchant that the list does not name.",
        code=(_API + "resources.TAX_REGISTRATIONS", _API + "resource.Resource.parent_key"),
        switches=(),
        request="GET /tax-registrations, and GET /tax-registrations/for-merchant/<the id of an account of "
        "GET /sequence-accounts>",
        reads_only=True,
    ),
    Assumption(
        name="filter-comparison",
        question="Are filters compared to the character, or is case ignored?",
        taken="Customer aliases, ids and types of metrics are compared on the client as well, to the character.",
        otherwise="Nothing for these. Other filters, such as event_type, give what the API takes for equal.",
        code=(_API + "resource.Filter.match_fields", _API + "client.SequenceClient.customer_aliases"),
        switches=(),
        request="GET /usage-events?customerAlias=<a known alias in the other case>",
        reads_only=True,
    ),
    Assumption(
        name="encoded-lists",
        question="Usage metrics are filtered by comma-separated values that are percent-encoded each: once, or once more as "
        "part of the query?",
        taken="Event types that read alike both ways are sent. For another one the list is read without the filter, and "
        "compared on the client. Other values are encoded once more.",
        otherwise="A value of event_property that has characters to encode finds nothing if values are decoded once.",
        code=(
            _API + "query_params.encode_encoded_list",
            _API + "query_params.may_be_encoded",
            _API + "resource.Filter.is_ambiguous",
        ),
        switches=("listed_values",),
        request="GET /usage-metrics?eventType=<an event type with a space, encoded once>, and encoded twice",
        reads_only=True,
    ),
    Assumption(
        name="superseded-copies",
        question="Do lists show events that a later one with the same customerEventId superseded?",
        taken="The newest copy in a window counts, and of a copy that nobody expects it is looked up whether a later one "
        "exists. Staging tables hold all that is listed.",
        otherwise="Nothing for reconciliations and the unmapped aliases sensor. Counts of the events sensor include the "
        "copies that are listed.",
        code=(
            _API + "client.SequenceClient.is_superseded",
            _PIPELINES + "reconcile.comparison.Reconciliation.compare",
            _TRIGGERS + "conditions.NoUnmappedAliases.poke",
            _TRIGGERS + "new_events.find_new_events",
        ),
        switches=("superseded",),
        request="GET /usage-events?eventTimestampAfter=<…>&eventTimestampBefore=<… around an event that was voided>",
        reads_only=True,
    ),
    Assumption(
        name="void-events-unmapped",
        question="Does unmappedAliasesOnly list events with the alias VOID, which no customer has?",
        taken="Leaves them out where they are listed.",
        otherwise="Nothing: it is right under each reading.",
        code=(_TRIGGERS + "conditions.NoUnmappedAliases.poke",),
        switches=("void_events_unmapped",),
        request="GET /usage-events?unmappedAliasesOnly=true&customerAlias=VOID",
        reads_only=True,
    ),
    Assumption(
        name="arrival-order",
        question="Are events listed as soon as they were accepted, and in the order of their arrival?",
        taken="The newest 1,000 events are remembered, and a poll reads 500 deep: so an event is found that becomes "
        "visible late. A reconciliation compares what is listed at that moment.",
        otherwise="A watcher misses events that become visible after 500 later ones. A reconciliation right after a push "
        "finds events missing.",
        code=(
            _TRIGGERS + "new_events.REMEMBERED",
            _TRIGGERS + "new_events.find_new_events",
            _PIPELINES + "reconcile.comparison.Reconciliation.compare",
        ),
        switches=(),
        request="GET /usage-events?limit=100, at once after several concurrent POST /usage-events",
        reads_only=False,
    ),
    Assumption(
        name="time-in-ids",
        question="Are the ids of events UUIDv7, which carry the time of arrival?",
        taken="Used where it is so, to tell what is old once all remembered events vanished from the list.",
        otherwise="In that case, a watcher announces the whole list anew.",
        code=(_TRIGGERS + "new_events.find_new_events",),
        switches=(),
        request="GET /usage-events?limit=100",
        reads_only=True,
    ),
    Assumption(
        name="calculate-aliases",
        question="How does customerAliases of a metric's calculation separate several aliases?",
        taken="Asks for one alias a request, and adds up where the metric counts or sums. Refuses an alias with a comma.",
        otherwise="Nothing: it is right under each reading.",
        code=(_API + "usage_metrics.aliases_to_ask", _API + "usage_metrics.add_up"),
        switches=("aliases_separator",),
        request="GET /usage-metrics/<id>/calculate?customerAliases=<a>,<b>&periodStart=<…>&periodEnd=<…>, and with "
        "customerAliases repeated",
        reads_only=True,
    ),
    Assumption(
        name="calculate-period",
        question="Are periodStart and periodEnd times or dates, and in which time zone are dates?",
        taken="Sends times in UTC, the end a microsecond before that of the window. If they are refused, whole days "
        "are asked for as dates.",
        otherwise="If only dates count, a part of a day counts as the whole day. If days are not those of UTC, the events "
        "around midnight count in another period.",
        code=(_API + "usage_metrics.period_texts", _API + "client.SequenceClient.calculate_metric"),
        switches=(),
        request="GET /usage-metrics/<id>/calculate?customerAliases=<a>&periodStart=<t>&periodEnd=<t, the timestamp of a "
        "known event>, and with dates",
        reads_only=True,
    ),
    Assumption(
        name="calculated-value",
        question="Does the value of a calculation come as a number, as the schema says, or as text, as money does?",
        taken="Reads both, with every digit.",
        otherwise="Nothing: it is right under each reading.",
        code=(_API + "usage_metrics.read_calculation",),
        switches=("calculated_value",),
        request="GET /usage-metrics/<id>/calculate?customerAliases=<a>&periodStart=<…>&periodEnd=<…>",
        reads_only=True,
    ),
    Assumption(
        name="naive-timestamps",
        question="What is a timestamp without an offset: UTC, local time, or an error?",
        taken="Sends every timestamp in UTC with Z.",
        otherwise="Nothing: it is right under each reading.",
        code=(_API + "timestamps.utc_text",),
        switches=("naive_timestamps",),
        request="GET /usage-events?eventTimestampAfter=<a timestamp without an offset, near a known event>",
        reads_only=True,
    ),
    Assumption(
        name="timestamp-format",
        question="In which form do timestamps come back?",
        taken="Reads any ISO 8601; one without an offset is UTC, as all that is sent.",
        otherwise="If times come back in a zone that they don't name, events move to other windows. What is no ISO 8601 "
        "fails a pull of a window.",
        code=(_API + "timestamps.parse_timestamp",),
        switches=("timestamp_format",),
        request="GET /usage-events?limit=100",
        reads_only=True,
    ),
    Assumption(
        name="stored-precision",
        question="How many digits of a second, and of a number, does Sequence keep?",
        taken="Sends every digit. Reconciliations compare times to the millisecond, and numbers to the last digit.",
        otherwise="If fewer are kept, a reconciliation finds such events different, and resending does not fix it.",
        code=(
            _PIPELINES + "reconcile.fingerprint.fingerprint",
            _API + "lossless_json.encode",
            _API + "timestamps.KEPT_DIGITS",
        ),
        switches=("timestamp_format",),
        request="POST /usage-events with microseconds and a number of 30 digits, then GET /usage-events",
        reads_only=False,
    ),
    Assumption(
        name="seat-order",
        question="Of seat events that arrive out of order, which counts: the latest eventTimestamp, or the last received?",
        taken="Those of one customer and seat type are sent one after the other, in the order of their times.",
        otherwise="If the last received counts, a second push with older rows sets older totals.",
        code=(_API + "events.SEAT_EVENT", _PIPELINES + "push.sort.sort_by_time"),
        switches=("newest_seat_event",),
        request="GET /seat-balances?customerAliases=<an alias whose seat events arrived out of order>",
        reads_only=True,
    ),
    Assumption(
        name="error-body",
        question="Which shape has the body of an error?",
        taken="Reads an object `error`, a list `errors`, plain text, HTML and nothing. A 4xx that is no JSON is taken for a "
        "firewall's or a gateway's: it is tried four times. If it stays, and Sequence answers another request, the row of a "
        "push is rejected.",
        otherwise="If Sequence's own errors are no JSON, a refused row takes some seconds longer.",
        code=(
            _API + "http.error_response.read_error",
            _API + "http.error_response.is_json",
            _PIPELINES + "push.senders.SenderPool",
        ),
        switches=("error_body",),
        request="GET /usage-metrics?limit=0",
        reads_only=True,
    ),
    Assumption(
        name="missing-id",
        question="What is answered for an id that is not there, such as an invoice that was deleted meanwhile: 400, 404, or "
        "an empty list?",
        taken="A refusal of any status fails a pull of the list below it, which loads nothing; it is retryable, and the next "
        "attempt lists the parents anew. "
        "A 404 of a calculation means that there is no such metric; after a 400, the error is SequenceRejectedError and does "
        "not name the metric.",
        otherwise="Nothing: it is right under each reading.",
        code=(_API + "client.SequenceClient.calculate_metric", _API + "http.transport.Transport.request"),
        switches=("missing_status",),
        request="GET /invoices/<an unknown id>/line-items, and GET /usage-metrics/<an unknown id>/calculate?…",
        reads_only=True,
    ),
    Assumption(
        name="custom-parameters",
        question="How are the customParameters of a metric's calculation written?",
        taken="A mapping is sent as a JSON object, and text as it is.",
        otherwise="The calculation is refused, or is that of the defaults; give the text that Sequence's support names.",
        code=(_API + "usage_metrics.custom_parameters_text",),
        switches=(),
        request='POST /usage-metrics, of one with a parameter; then GET /usage-metrics/<id>/calculate?…&customParameters={"<name>":"<value>"}',
        reads_only=False,
    ),
    Assumption(
        name="unchecked-dates",
        question="Which field are invoiceAfter, invoiceBefore, sentAfter and sentBefore about?",
        taken="Asks for a day more on either side, and keeps all that comes.",
        otherwise="Nothing is missed; a pull may load a day more than its window.",
        code=(_API + "resource.TimeFilter", _API + "resource.Resource.is_in"),
        switches=(),
        request="POST /invoices, of one whose issue date and accounting date differ; then GET /invoices?invoiceAfter=<one of them>",
        reads_only=False,
    ),
    Assumption(
        name="unknown-parameters",
        question="Are query parameters that are not documented ignored or refused?",
        taken="Sends documented ones only.",
        otherwise="Nothing: it is right under each reading.",
        code=(_API + "resource.Resource.query",),
        switches=("unknown_parameters",),
        request="GET /usage-metrics?limit=1&undocumented=1",
        reads_only=True,
    ),
    Assumption(
        name="retry-after",
        question="Does a 429 say when to come back, and is that seconds or a date?",
        taken="Waits as long as it says, in either form; without the header, a pause that doubles.",
        otherwise="Nothing: it is right under each reading.",
        code=(
            _API + "http.error_response.parse_retry_after",
            _API + "http.rate_limit.RateLimiter.throttled",
        ),
        switches=("retry_after",),
        request="POST /usage-events until a 429 comes",
        reads_only=False,
    ),
    Assumption(
        name="rate-limit",
        question="Is the limit counted by a moving minute, by the minute of the clock, or as a token bucket, and do usage "
        "posts count in the limit of all other requests?",
        taken="Spaces requests evenly, below the limit of their kind; a 429 lowers the rate to what got through of late.",
        otherwise="If usage posts count in the other limit, a push is slowed down by 429s to that limit, and so are pulls "
        "beside it.",
        code=(_API + "http.rate_limit.RateLimiter", _API + "http.rate_limit.HEADROOM"),
        switches=("rate_algorithm", "burst", "usage_posts_in_general_budget"),
        request="POST /usage-events more than 1,500 times in a minute, then GET /usage-metrics?limit=1",
        reads_only=False,
    ),
    Assumption(
        name="body-fields",
        question="Are fields that are not documented, and an eventProperties that is null, ignored or refused in a body? (That "
        "customerEventId, and eventTimestamp of usage events, may be null is documented.)",
        taken="Sends documented fields only, and leaves out optional ones that have no value.",
        otherwise="Nothing: it is right under each reading.",
        code=(_API + "event_mapper.make_event", _API + "aliases.CustomerAlias.fields"),
        switches=("unknown_fields", "null_fields"),
        request="POST /usage-events with eventProperties null, and with a field undocumented",
        reads_only=False,
    ),
    Assumption(
        name="text-length",
        question="How long may an alias, a type or an id be?",
        taken="Sends any text that is not empty; one that is refused is a rejected row.",
        otherwise="Nothing: it is right under each reading.",
        code=(_API + "events.check_text_field", "airflow_provider_sequence.exceptions.SequenceRejectedError"),
        switches=("max_text_length",),
        request="POST /usage-events with an event type of 1,000 characters",
        reads_only=False,
    ),
    Assumption(
        name="unknown-alias",
        question="Is an event accepted whose alias no customer has?",
        taken="Sends it: usage may arrive before its customer exists. The unmapped aliases sensor finds such events.",
        otherwise="It is a rejected row, which `retry_rejected` sends again once the customer exists.",
        code=(_TRIGGERS + "conditions.NoUnmappedAliases", _API + "resources.USAGE_EVENTS"),
        switches=(),
        request="POST /usage-events with an alias that no customer has",
        reads_only=False,
    ),
    Assumption(
        name="deleted-aliases",
        question="Do lists of customer aliases give those that were deleted or archived?",
        taken="One that has a deletedAt or an archivedAt is not in use: it is created anew, and looked up afterwards.",
        otherwise="Nothing: it is right under each reading.",
        code=(_API + "aliases.holders", _PIPELINES + "aliases.create_aliases"),
        switches=(),
        request="GET /customer-aliases?limit=100, after one was deleted",
        reads_only=True,
    ),
    Assumption(
        name="alias-refusals",
        question="What is answered when an alias is created for a customer that is not there, or is another customer's: "
        "400, 404 or 409?",
        taken="After any answer it is looked up who has the alias, since another task may have created it. If nobody has, "
        "or another customer, the row is rejected.",
        otherwise="Nothing: it is right under each reading.",
        code=(_PIPELINES + "aliases.create_aliases",),
        switches=("missing_status",),
        request="POST /customer-aliases with an unknown customerId, and with a value that is taken",
        reads_only=False,
    ),
)
