"""Body of a response: read and decompressed up to a size, and no further."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import urllib3
from urllib3.exceptions import DecodeError

from airflow_provider_sequence.api.answer_size import TooLargeError

#: The one content coding that is asked for, and taken.
CODING = "gzip"
_CHUNK = 2**16


def read_body(response: urllib3.BaseHTTPResponse, most: int) -> bytes:
    """
    Read a response's body.

    It is decompressed here: urllib3 takes any number of codings, one on top of the other, and its older releases
    decompress all that was read at once.

    :param most: bytes that it may have, as it comes and decompressed.
    :raises TooLargeError: if it has more; the connection is closed then.
    :raises urllib3.exceptions.HTTPError: if it breaks off, or can't be decompressed.
    """
    coding = response.headers.get("Content-Encoding", "").strip().lower()
    try:
        chunks = _chunks(response, most)
        if coding in {"", "identity"}:
            return b"".join(chunks)
        if coding in {CODING, f"x-{CODING}"}:
            return b"".join(_decompressed(chunks, most))
        raise DecodeError("a content coding that was not asked for")
    except BaseException:
        response.close()  # else what is left of it would be taken for the next request's response
        raise
    finally:
        response.release_conn()


def _chunks(response: urllib3.BaseHTTPResponse, most: int) -> Iterator[bytes]:
    size = 0
    while chunk := response.read(_CHUNK, decode_content=False):
        size += len(chunk)
        if size > most:
            raise TooLargeError(most)
        yield chunk


def _decompressed(chunks: Iterator[bytes], most: int) -> Iterator[bytes]:
    decompressor = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    size, begun = 0, False
    for chunk in chunks:
        begun = True
        try:
            part = decompressor.decompress(chunk, most - size + 1)
        except zlib.error:
            raise DecodeError("no gzip") from None
        size += len(part)
        if size > most:
            raise TooLargeError(most)
        if decompressor.unused_data:  # another member: each would cost a copy of all that follows it
            raise DecodeError("more than one gzip member")
        yield part
    if begun and not decompressor.eof:
        raise DecodeError("gzip that breaks off")
