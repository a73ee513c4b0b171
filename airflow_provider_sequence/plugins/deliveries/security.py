"""Who may see what, as Airflow's own security decides. If Airflow has moved it, the import fails and the page is closed."""

from __future__ import annotations

from typing import Any

from airflow.api_fastapi.auth.managers.models.resource_details import AccessView
from airflow.api_fastapi.core_api.security import requires_access_connection, requires_access_view
from fastapi import Depends

#: Every page: whoever may see Airflow's plugins.
MAY_SEE_PAGE: Any = Depends(requires_access_view(AccessView.PLUGINS))
#: Rows of customers: whoever may read the connection that the path names (``connection_id``).
MAY_SEE_ROWS: Any = Depends(requires_access_connection("GET"))
