"""The same pull with other tools, each written as its documents show and tuned as a careful user would.

Each is given by environment variables where the API and the database are, loads into the table ``usage_events`` and
keeps the properties as JSON. None checks what was read against the total, and none keeps a number's trailing zeros.
"""
