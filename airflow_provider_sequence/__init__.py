"""Apache Airflow provider for Sequence: usage and seat events from a warehouse to Sequence, and back."""

__version__ = "0.1.0"
