"""Chunks of lines examined on several cores at once, in order and in constant memory; a small file needs none."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from functools import cached_property
from types import TracebackType

from sintonia.datasets.chunks import ChunkOutcome, Reader, examine_chunk
from sintonia.datasets.lines import Line
from sintonia.model_families import ModelFamily

WORTH_WORKERS = 4 * 2**20
"""Bytes of a file from which on the start of processes (most of a second) is repaid."""


class Workers:
    """Examines for ``reader`` by ``processes`` processes, or in this one if there is to be one only.

    Processes start with the first large file and end with the block; they also end by themselves when this process is
    killed. One that dies makes ``examine`` raise BrokenProcessPool.
    """

    def __init__(self, reader: Reader, *, processes: int) -> None:
        self.reader = reader
        self._processes = processes
        self._family = reader.open()
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def examine(self, chunks: Iterable[list[Line]], *, size: int, keep: bool) -> Iterator[ChunkOutcome]:
        """Outcomes in the order of ``chunks``, of which few are read ahead.

        Args:
            size: bytes of the file that they are of.
            keep: whether documents and tokens are wanted.
        """
        if self._processes == 1 or size < WORTH_WORKERS:
            for chunk in chunks:
                yield examine_chunk(self._family, self.reader, chunk, keep=keep)
            return
        pool = self._started_pool
        ahead: deque[Future[ChunkOutcome]] = deque()
        for chunk in chunks:
            ahead.append(pool.submit(_examine, chunk, keep))
            if len(ahead) > 2 * self._processes:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()

    @cached_property
    def _started_pool(self) -> ProcessPoolExecutor:
        # Not forked: connections of object stores have threads.
        self._pool = ProcessPoolExecutor(
            self._processes, multiprocessing.get_context("spawn"), initializer=_begin, initargs=(self.reader,)
        )
        return self._pool


_state: tuple[ModelFamily, Reader]


def _begin(reader: Reader) -> None:
    """Make this process a worker."""
    global _state
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal; it is for the process that started this one
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _state = reader.open(), reader


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _examine(chunk: list[Line], keep: bool) -> ChunkOutcome:
    return examine_chunk(*_state, chunk, keep=keep)
