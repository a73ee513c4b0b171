"""Places for files of rows that a database reads: a bucket of S3, over an Airflow connection to AWS, or a volume."""

from __future__ import annotations

import importlib
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO
from urllib.parse import parse_qs, urlsplit

from airflow_provider_sequence.exceptions import SequenceConfigurationError, WarehouseError
from airflow_provider_sequence.warehouse.dialect import DatabaseDialect
from airflow_provider_sequence.warehouse.dialects import DIALECTS
from airflow_provider_sequence.warehouse.staging_location import Bucket


def open_staging(location: str, dialect: DatabaseDialect) -> Bucket | str:
    """
    Open the place that a user names.

    :param location: ``s3://connection@bucket/prefix?iam_role=role``, or the path of a volume.
    :raises SequenceConfigurationError: if it is no place that the database reads files from.
    """
    if dialect.staging is None:
        able = " and ".join(name for name, row in DIALECTS.items() if row.staging)
        raise SequenceConfigurationError(f"staging_location is for {able}; this database needs none")
    if not re.fullmatch(rf"{dialect.staging}[^'\\\s]+", location):
        raise SequenceConfigurationError(
            f"staging_location must begin with {dialect.staging} for this database,\nand have no quotes or spaces"
        )
    return S3Bucket(location) if location.startswith("s3://") else location


class S3Bucket:
    """
    Bucket of S3, with a prefix for the files.

    :param location: ``s3://connection@bucket/prefix?iam_role=role``; without a connection, it is ``aws_default``.
    """

    def __init__(self, location: str) -> None:
        # As late as this: it takes long to import.
        hooks = importlib.import_module("airflow.providers.amazon.aws.hooks.s3")
        parts = urlsplit(location)
        connection, _, self._bucket = parts.netloc.rpartition("@")
        self._prefix = parts.path.strip("/")
        query = parse_qs(parts.query.replace("+", "%2B"))
        if unknown := query.keys() - {"iam_role"}:
            raise SequenceConfigurationError(
                f"staging_location has {', '.join(sorted(unknown))} after its question mark\nIt may have iam_role only"
            )
        self._client = hooks.S3Hook(aws_conn_id=connection or "aws_default").get_conn()
        #: Role in which Redshift reads the files; None for its default one.
        self.role: str | None = query.get("iam_role", [None])[0]

    @contextmanager
    def hold(self, file: IO[bytes]) -> Iterator[str]:
        """
        Put a file into the bucket for the context; give its URL.

        :raises WarehouseError: if it can't be put there, or not be deleted at the end.
        """
        key = "/".join(filter(None, [self._prefix, f"sequence_{uuid.uuid4().hex}.csv"]))
        url = f"s3://{self._bucket}/{key}"
        with _errors_of_s3(f"put {url}"):
            self._client.upload_fileobj(file, self._bucket, key)
        try:
            yield url
        finally:
            with _errors_of_s3(f"delete {url}, which holds rows"):
                self._client.delete_object(Bucket=self._bucket, Key=key)


@contextmanager
def _errors_of_s3(what: str) -> Iterator[None]:
    boto3, botocore = (importlib.import_module(f"{name}.exceptions") for name in ("boto3", "botocore"))
    try:
        yield
    except (boto3.Boto3Error, botocore.BotoCoreError, botocore.ClientError) as e:
        raise WarehouseError(f"S3: can't {what}: {e}") from None
