"""The demo behind ``make demo``: the sandbox, a warehouse, and the example DAG as real DAG runs over a week."""
