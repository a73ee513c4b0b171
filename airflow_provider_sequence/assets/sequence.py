"""Assets of Sequence's resources: ``sequence://<account>/<resource>``, and the events of their outlets."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit, urlunsplit

from airflow_provider_sequence.api.defaults import ACCOUNT_NAME
from airflow_provider_sequence.api.resources import get_resource
from airflow_provider_sequence.compat import Asset, Context

if TYPE_CHECKING:
    from openlineage.client.event_v2 import Dataset as OpenLineageDataset

_HAS_EVENT: tuple[Any, ...] = (Asset,)
try:
    from airflow.sdk.definitions.asset import AssetRef
except ImportError:  # Airflow 2 has no references to assets
    pass
else:
    _HAS_EVENT = (Asset, AssetRef)

SCHEME = "sequence"


def sequence_asset(account: str, resource: str, **kwargs: Any) -> Asset:
    """
    Make the asset of a resource; on Airflow 2, the dataset.

    :param account: your own name of the account of Sequence, such as ``acme-production``; the same as ``account`` in the
        connection's extra, where that is set.
    :param resource: one of the provider's names of resources, such as ``usage_events``.
    :param kwargs: what else Airflow's class takes, such as ``extra``.
    :raises ValueError: if the account has other characters than letters, digits, ``.``, ``_`` and ``-``, or there
        is no such resource.
    """
    # Airflow 2 only warns of what sanitize_uri refuses.
    uri = sanitize_uri(SplitResult(SCHEME, account, f"/{resource}", "", ""))
    return Asset(uri=urlunsplit(uri), **kwargs)


def sanitize_uri(uri: SplitResult) -> SplitResult:
    """
    Check a URI; Airflow asks for each one of this scheme.

    :raises ValueError: if it does not name an account and a resource.
    """
    resource = uri.path.removeprefix("/")
    if not re.fullmatch(ACCOUNT_NAME, uri.netloc) or not resource or uri.query:
        raise ValueError(
            f"{urlunsplit(uri)} is not of the form sequence://<account>/<resource>, such as "
            "sequence://acme-production/usage_events; an account's name is letters, digits, '.', '_' and '-'"
        )
    get_resource(resource)
    return uri


def account_of(asset: object, resource: str) -> str | None:
    """Find the account that an asset names, if it is the asset of this resource."""
    uri = urlsplit(str(getattr(asset, "uri", "")))
    return uri.netloc if uri.scheme == SCHEME and uri.path == f"/{resource}" else None


def convert_asset_to_openlineage(asset: Asset, lineage_context: object) -> OpenLineageDataset:
    """Name an asset as OpenLineage does: the account is the namespace."""
    from openlineage.client.event_v2 import Dataset as OpenLineageDataset

    uri = urlsplit(asset.uri)
    return OpenLineageDataset(namespace=f"{SCHEME}://{uri.netloc}", name=uri.path.removeprefix("/"))


def set_outlet_extra(context: Context, outlets: Iterable[Any], facts: Mapping[str, Any]) -> None:
    """
    Put facts about a run into the extra of the asset event of each asset among a task's outlets.

    An alias is left alone: the DAG's author decides which assets it stands for.

    :param facts: what can be written as JSON.
    """
    for outlet in outlets:
        if isinstance(outlet, _HAS_EVENT):
            context["outlet_events"][outlet].extra.update(facts)
