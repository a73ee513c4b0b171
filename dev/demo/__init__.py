"""The demos: ``make demo``, the daily example over a week, and ``make demo-celery``, a month on two workers."""
