"""Objects up and down: a connection that breaks, or a server that restarts, goes on where it stopped.

Knows nothing of terminals.
"""

from __future__ import annotations

import hashlib
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import BinaryIO

from sintonia.cli.failures import CommandFailed, ServerUnreachable
from sintonia.cli.rest import Json, RestClient, failure_of
from sintonia.cli.unfinished import Unfinished

Count = Callable[[int], object]
Tell = Callable[[str], object]

_PIECE = 8 << 20
_BLOCK = 256 << 10
# Seconds before each new try, over a minute in all; they begin anew whenever something arrives.
_WAITS = (0.2, 0.5, 1.0, 2.0, 4.0, *[8.0] * 8)
_TRY_AGAIN = {408, 429, 500, 502, 503, 504}


def upload(
    api: RestClient,
    bucket: str,
    name: str,
    stream: BinaryIO,
    *,
    size: int,
    begun: Unfinished | None = None,
    count: Count = lambda count: None,
    tell: Tell = lambda line: None,
) -> Json:
    """Put the ``size`` bytes of a seekable stream as an object, in pieces; answers the object's resource.

    Args:
        begun: knows where an earlier run stopped, and is told for a later one.
        count: is given the number of bytes, whenever some have arrived.
        tell: is given a line when something breaks.

    Raises:
        CommandFailed: the server refuses, or the stream has fewer bytes.
        ServerUnreachable: it did not come back.
    """
    where = begun.read() if begun else None
    asking = noted = where is not None
    if where is None:
        where = api.start_upload(bucket, name, size=size)
        if begun and size > _PIECE:
            begun.note(where)
    digest = hashlib.md5(usedforsecurity=False)
    arrived = digested = 0
    waits = iter(_WAITS)
    while True:
        stream.seek(digested)
        while digested < arrived and (block := stream.read(min(_BLOCK, arrived - digested))):
            digest.update(block)
            digested += len(block)
        stream.seek(arrived)
        piece = b"" if asking else stream.read(min(_PIECE, size - arrived))
        end = arrived + len(piece)
        if not asking and end < min(size, arrived + _PIECE):
            raise CommandFailed("ABORTED", "the file became shorter while it was uploaded; begin again")
        if end > digested:
            digest.update(piece[digested - arrived :])
            digested = end
        headers = {"Content-Length": str(len(piece))}
        headers["Content-Range"] = f"bytes {f'{arrived}-{end - 1}' if piece else '*'}/{size}"
        if end == size:
            headers["X-Goog-Hash"] = f"md5={b64encode(digest.digest()).decode()}"
        lost: Exception
        try:
            answer = api.exchange("PUT", where, content=_blocks(piece), headers=headers)
        except ServerUnreachable as error:
            lost = error
        else:
            if answer.status_code == 200:
                count(size - arrived)
                if begun:
                    begun.forget()
                stored: Json = answer.json()
                return stored
            there = int(answer.headers.get("range", "bytes=0--1").removeprefix("bytes=0-")) + 1
            if answer.status_code == 308 and (there > arrived or asking):
                if there > arrived:
                    waits = iter(_WAITS)
                count(there - arrived)
                arrived, asking = there, False
                continue
            lost = failure_of(answer)
            if answer.status_code not in {308, *_TRY_AGAIN}:
                if begun:
                    begun.forget()
                if noted and answer.status_code in {404, 410}:  # it has expired, or its bucket is another
                    return upload(api, bucket, name, stream, size=size, begun=begun, count=count, tell=tell)
                raise lost
        _wait(waits, lost, tell, f"{arrived} of {size} bytes have arrived")
        asking = True


def download(
    api: RestClient,
    bucket: str,
    name: str,
    stream: BinaryIO,
    *,
    count: Count = lambda count: None,
    tell: Tell = lambda line: None,
) -> None:
    """Write an object's bytes, as they are stored, to a stream, and compare their checksum.

    ``count`` and ``tell`` as of ``upload``. Raises CommandFailed, also if the object is overwritten meanwhile, and
    ServerUnreachable.
    """
    stored = api.get_object(bucket, name)
    size = int(stored["size"])
    digest = hashlib.md5(usedforsecurity=False)
    arrived = 0
    waits = iter(_WAITS)
    while arrived < size:
        try:
            for piece in api.download(bucket, name, generation=stored["generation"], start=arrived):
                stream.write(piece)
                digest.update(piece)
                arrived += len(piece)
                count(len(piece))
                waits = iter(_WAITS)
        except ServerUnreachable as lost:
            _wait(waits, lost, tell, f"{arrived} of {size} bytes are here")
    md5 = b64encode(digest.digest()).decode()
    if stored.get("md5Hash", md5) != md5:  # what was composed of others has none
        raise CommandFailed("DATA_LOSS", f"what arrived of gs://{bucket}/{name} has another checksum; try again")


def _blocks(piece: bytes) -> Iterator[bytes]:
    """What goes at once: of a large one, the HTTP client would copy the rest again and again."""
    for start in range(0, len(piece), _BLOCK):
        yield piece[start : start + _BLOCK]


def _wait(waits: Iterator[float], lost: Exception, tell: Tell, state: str) -> None:
    """Before a new try. Raises ``lost`` if there were enough."""
    wait = next(waits, None)
    if wait is None:
        raise lost
    reason = lost.reason if isinstance(lost, ServerUnreachable) else str(lost)
    tell(f"{reason}; {state}, going on")
    time.sleep(wait)
