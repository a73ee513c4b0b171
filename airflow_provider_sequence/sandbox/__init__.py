"""
A Sequence API on this machine, to develop and test against.

Written from Sequence's public documents alone and sharing no code with the client of this package, so that a
misreading in one of them shows against the other. What the documents leave open is a switch in
:class:`~airflow_provider_sequence.sandbox.settings.SandboxSettings`. Start it with
``python -m airflow_provider_sequence.sandbox``.
"""
