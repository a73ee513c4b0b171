"""Default settings. Imports nothing, since Airflow reads it at every start."""

#: By the API's documents: where production is, and the newest version.
PRODUCTION_URL = "https://eu.sequencehq.com/api"
API_VERSION = "2024-07-30"

#: Requests a minute and API client that the documents allow: to create usage events, and for all else.
USAGE_EVENTS_PER_MINUTE, REQUESTS_PER_MINUTE = 12_000, 1_500

#: Seconds: to connect, between two reads of an answer, and from a request's first failure to giving it up.
CONNECT_TIMEOUT, READ_TIMEOUT, DEADLINE = 10, 30, 300

#: Pattern of your own name of an account: the host of its assets' URIs.
ACCOUNT_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"
