"""Stand-in for Databricks: its Thrift protocol over HTTP, in front of DuckDB; with the volumes' files.

What it can't show: Delta tables, the limit of a statement's parameters, and how Spark reads a file.
"""

from __future__ import annotations

import contextlib
import http.server
import re
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from databricks.sql.thrift_api.TCLIService import TCLIService, ttypes
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.transport.TTransport import TMemoryBuffer

CATALOG = "billing"

_SUCCESS = ttypes.TStatus(statusCode=ttypes.TStatusCode.SUCCESS_STATUS)
_TYPES = {
    pa.int32(): ttypes.TTypeId.INT_TYPE,
    pa.int64(): ttypes.TTypeId.BIGINT_TYPE,
    pa.bool_(): ttypes.TTypeId.BOOLEAN_TYPE,
}
#: What is written otherwise by DuckDB.
_OTHERWISE = [
    (r"`", '"'),
    (r" USING DELTA\s+TBLPROPERTIES\('[^']*' = '[^']*'\)", ""),
    (r"^DESCRIBE TABLE (.*)", r"SELECT column_name AS col_name, column_type AS data_type FROM (DESCRIBE \1)"),
    (r"\bTIMESTAMP\b(?! ')", "TIMESTAMPTZ"),
    (
        r"\bread_files\('(?P<path>[^']*)', format => 'json', schema => '(?P<schema>[^']*)', mode => 'FAILFAST'\)",
        None,
    ),
]
_STAGING = re.compile(r"(PUT|REMOVE) '([^']*)'(?: INTO '([^']*)' OVERWRITE)?")


class Warehouse:
    """Databases of a warehouse, and what it was asked to do."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = ""
        #: Statements, in order, each with the number of the session that ran it.
        self.statements: list[tuple[int, str]] = []
        self.lock = threading.Lock()
        self.database = duckdb.connect()
        self.database.execute(f"SET TimeZone = 'UTC'; ATTACH ':memory:' AS {CATALOG}")
        self.sessions: dict[bytes, tuple[int, Any]] = {}

    def run(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a statement of DuckDB's."""
        with self.lock:
            return self.database.execute(sql).fetchall()

    # What follows are the calls of the protocol.

    def OpenSession(self, request: Any) -> Any:
        handle = ttypes.THandleIdentifier(guid=uuid.uuid4().bytes, secret=b"s" * 16)
        cursor = self.database.cursor()
        cursor.execute("SET TimeZone = 'UTC'")
        if request.initialNamespace is not None:
            names = [request.initialNamespace.catalogName, request.initialNamespace.schemaName]
            cursor.execute(f"USE {'.'.join(filter(None, names))}")
        self.sessions[handle.guid] = (len(self.sessions), cursor)
        return ttypes.TOpenSessionResp(
            status=_SUCCESS,
            serverProtocolVersion=ttypes.TProtocolVersion.SPARK_CLI_SERVICE_PROTOCOL_V7,
            sessionHandle=ttypes.TSessionHandle(sessionId=handle),
            canUseMultipleCatalogs=True,
        )

    def CloseSession(self, request: Any) -> Any:
        self.sessions[request.sessionHandle.sessionId.guid][1].close()
        return ttypes.TCloseSessionResp(status=_SUCCESS)

    def CloseOperation(self, request: Any) -> Any:
        return ttypes.TCloseOperationResp(status=_SUCCESS)

    def ExecuteStatement(self, request: Any) -> Any:
        number, cursor = self.sessions[request.sessionHandle.sessionId.guid]
        self.statements.append((number, request.statement))
        staging = _STAGING.fullmatch(request.statement)
        try:
            table = self._stage(*staging.groups()) if staging else self._query(cursor, request)
            status = ttypes.TGetOperationStatusResp(
                status=_SUCCESS, operationState=ttypes.TOperationState.FINISHED_STATE
            )
            results = _results(table, is_staging=bool(staging))
        except duckdb.Error as e:
            results = {}
            status = ttypes.TGetOperationStatusResp(
                status=_SUCCESS, operationState=ttypes.TOperationState.ERROR_STATE, displayMessage=_message(e)
            )
        return ttypes.TExecuteStatementResp(
            status=_SUCCESS,
            operationHandle=ttypes.TOperationHandle(
                operationId=ttypes.THandleIdentifier(guid=uuid.uuid4().bytes, secret=b"s" * 16),
                operationType=ttypes.TOperationType.EXECUTE_STATEMENT,
                hasResultSet=True,
            ),
            directResults=ttypes.TSparkDirectResults(
                operationStatus=status,
                closeOperation=ttypes.TCloseOperationResp(status=_SUCCESS),
                **results,
            ),
        )

    def _query(self, cursor: Any, request: Any) -> pa.Table:
        sql = request.statement
        for pattern, replacement in _OTHERWISE:
            sql = re.sub(pattern, self._read_json if replacement is None else replacement, sql)
        parameters = {}
        for each in request.parameters or []:
            value = None if each.value is None else each.value.stringValue
            parameters[each.name] = value
            # A parameter has its type with it.
            as_type = "VARCHAR" if each.type == "VOID" else each.type.replace("TIMESTAMP", "TIMESTAMPTZ")
            sql = re.sub(rf':"?{re.escape(each.name)}"?(?!\w)', f"CAST(${each.name} AS {as_type})", sql)
        with self.lock:
            result = cursor.execute(sql.replace("STRING", "VARCHAR"), parameters)
            return result.to_arrow_table() if result.description else pa.table({})

    def _read_json(self, match: re.Match[str]) -> str:
        names = [each.split(" ")[0] for each in match["schema"].split(", ")]
        columns = ", ".join(f"'{name}': 'VARCHAR'" for name in names)
        return (
            f"read_json('{self.folder}{match['path']}', format = 'newline_delimited', columns = {{{columns}}},"
            " maximum_object_size = 100000000)"
        )

    def _stage(self, operation: str, first: str, second: str | None) -> pa.Table:
        row = {
            "operation": operation,
            "localFile": first if second else None,
            "presignedUrl": f"{self.url}{second or first}",
            "headers": "{}",
        }
        return pa.Table.from_pylist([row])


def _message(error: duckdb.Error) -> str:
    """DuckDB's errors in Databricks's words."""
    text = str(error).splitlines()[0]
    for kind, name, sqlstate in [
        (duckdb.CatalogException, "TABLE_OR_VIEW_NOT_FOUND", "42P01"),
        (duckdb.BinderException, "UNRESOLVED_COLUMN.WITH_SUGGESTION", "42703"),
        (duckdb.ParserException, "PARSE_SYNTAX_ERROR", "42601"),
        (duckdb.ConversionException, "CAST_INVALID_INPUT", "22018"),
    ]:
        if isinstance(error, kind):
            return f"[{name}] {text} SQLSTATE: {sqlstate}\n== SQL =="
    return text


def _results(table: pa.Table, *, is_staging: bool) -> dict[str, Any]:
    stream = pa.BufferOutputStream()
    with pa.ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table)
    # The schema is sent apart from what follows it.
    schema = table.schema.serialize().to_pybytes()
    rows = stream.getvalue().to_pybytes()[len(schema) :]
    columns = [
        ttypes.TColumnDesc(columnName=field.name, position=place, typeDesc=_type(field.type))
        for place, field in enumerate(table.schema)
    ]
    return {
        "resultSetMetadata": ttypes.TGetResultSetMetadataResp(
            status=_SUCCESS,
            schema=ttypes.TTableSchema(columns=columns),
            resultFormat=ttypes.TSparkRowSetType.ARROW_BASED_SET,
            lz4Compressed=False,
            arrowSchema=schema,
            isStagingOperation=is_staging,
        ),
        "resultSet": ttypes.TFetchResultsResp(
            status=_SUCCESS,
            hasMoreRows=False,
            results=ttypes.TRowSet(
                startRowOffset=0,
                rows=[],
                arrowBatches=[ttypes.TSparkArrowBatch(batch=rows, rowCount=table.num_rows)],
            ),
        ),
    }


def _type(arrow: pa.DataType) -> Any:
    qualifiers = None
    if pa.types.is_decimal(arrow):
        kind = ttypes.TTypeId.DECIMAL_TYPE
        values = {
            "precision": ttypes.TTypeQualifierValue(i32Value=arrow.precision),
            "scale": ttypes.TTypeQualifierValue(i32Value=arrow.scale),
        }
        qualifiers = ttypes.TTypeQualifiers(qualifiers=values)
    elif pa.types.is_timestamp(arrow):
        kind = ttypes.TTypeId.TIMESTAMP_TYPE
    else:
        kind = _TYPES.get(arrow, ttypes.TTypeId.STRING_TYPE)
    entry = ttypes.TPrimitiveTypeEntry(type=kind, typeQualifiers=qualifiers)
    return ttypes.TTypeDesc(types=[ttypes.TTypeEntry(primitiveEntry=entry)])


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    warehouse: Warehouse

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        answer = TMemoryBuffer()
        TCLIService.Processor(self.warehouse).process(
            TBinaryProtocol(TMemoryBuffer(self._body())), TBinaryProtocol(answer)
        )
        self._answer(200, answer.getvalue())

    def do_PUT(self) -> None:
        file = self.warehouse.folder / self.path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(self._body())
        self._answer(200)

    def do_DELETE(self) -> None:
        (self.warehouse.folder / self.path.lstrip("/")).unlink()
        self._answer(204)

    def log_message(self, *args: object) -> None:
        pass


@contextlib.contextmanager
def databricks_server(folder: Path) -> Iterator[Warehouse]:
    """Run a warehouse on a port of 127.0.0.1."""
    warehouse = Warehouse(folder)
    handler = type("Handler", (_Handler,), {"warehouse": warehouse})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        warehouse.url = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield warehouse
        finally:
            server.shutdown()
            warehouse.database.close()
