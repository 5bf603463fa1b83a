"""The kernels' code, compiled once on this machine and kept: two seconds, while a run loads its model."""

from __future__ import annotations

import atexit
import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

_SOURCES = sorted(Path(__file__).parent.glob("*.cpp"))
_HEADERS = sorted(Path(__file__).parent.glob("*.h"))
_COMPILER = "g++"
_FLAGS = ("-std=c++17", "-O3", "-shared", "-fPIC", "-fopenmp", "-mfma",
          "-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx512bf16")  # fmt: skip
_PATIENCE = 300.0
"""Seconds that compiling may take."""
_UNFINISHED = ".part"


class _State:
    """Of the process: where the kernels are to be, what makes them, what was loaded, and why there is nothing."""

    target: Path | None = None
    compiling: _Compilation | None = None
    library: ctypes.CDLL | None = None
    reason: str | None = "no folder for compiled code"


def prepare(folder: Path) -> None:
    """Begin to make the kernels, if they are not in ``folder`` already; ``library`` waits for that.

    Args:
        folder: where compiled code goes and comes from: not one for temporary files, which all users share.
    """
    if _State.library is not None or _State.compiling is not None:
        return
    _State.reason = _why_not_here()
    if _State.reason is not None:
        return
    digest = hashlib.sha256(repr(_FLAGS).encode())
    try:
        for file in (*_SOURCES, *_HEADERS):
            digest.update(file.read_bytes())
        _State.target = folder / f"kernels-{digest.hexdigest()[:16]}.so"
        if not _State.target.exists():
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            _remove_leftovers(folder)
            _State.compiling = _Compilation(_State.target)
    except OSError as error:
        _State.reason = str(error)


def library() -> ctypes.CDLL | None:
    """The kernels; None where there are none: ``why_not`` tells."""
    if _State.library is None and _State.reason is None:
        try:
            _State.library = _load()
        except (OSError, RuntimeError, subprocess.SubprocessError) as error:
            _State.reason = str(error).strip().partition("\n")[0] or type(error).__name__
    return _State.library


def kernels() -> ctypes.CDLL:
    """The kernels, for those who asked before whether they are there."""
    found = library()
    assert found is not None
    return found


def why_not() -> str | None:
    """What keeps this process from using kernels; None if nothing does."""
    library()
    return _State.reason


class _Compilation:
    """A compiler at work; what it makes appears as ``target`` when it is whole, as others may look for it.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(self, target: Path) -> None:
        self._target = target
        descriptor, name = tempfile.mkstemp(dir=target.parent, prefix="kernels-", suffix=_UNFINISHED)
        os.close(descriptor)
        self._file = Path(name)
        atexit.register(self.close)
        command = [_COMPILER, *_FLAGS, *map(str, _SOURCES), "-o", name]
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )

    def finish(self) -> None:
        """
        Raises:
            RuntimeError, OSError, SubprocessError: there is no result.
        """
        try:
            _, errors = self._process.communicate(timeout=_PATIENCE)
            if self._process.returncode != 0:
                first = errors.decode(errors="replace").strip().partition("\n")[0]
                raise RuntimeError(f"{_COMPILER} failed: {first}")
            self._file.replace(self._target)
        finally:
            self.close()

    def close(self) -> None:
        """Leave nothing behind. May be called again."""
        atexit.unregister(self.close)
        if hasattr(self, "_process") and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._file.unlink(missing_ok=True)


class Heads(ctypes.Structure):
    """Of the same name in ``simd.h``."""

    _fields_ = (("data", ctypes.c_void_p), ("token", ctypes.c_long), ("head", ctypes.c_long))


def heads(tensor_BHTD: Tensor) -> Any:
    """A tensor whose last dimension lies together, as kernels take it."""
    return ctypes.pointer(Heads(tensor_BHTD.data_ptr(), tensor_BHTD.stride(2), tensor_BHTD.stride(1)))


def pointer(tensor: Tensor) -> ctypes.c_void_p:
    """Where a tensor without gaps lies."""
    return ctypes.c_void_p(tensor.data_ptr())


def _why_not_here() -> str | None:
    if platform.machine() not in ("x86_64", "AMD64") or not torch.backends.cpu.get_cpu_capability().startswith(
        "AVX512"
    ):
        return "this CPU has no AVX-512 BF16"
    if shutil.which(_COMPILER) is None:
        return f"{_COMPILER} is not installed"
    return None


def _load() -> ctypes.CDLL:
    assert _State.target is not None
    if (compiling := _State.compiling) is not None:
        _State.compiling = None
        compiling.finish()
    # torch's threads serve the kernels too: its OpenMP is loaded, and has the name that these ask for.
    try:
        loaded = ctypes.CDLL(str(_State.target))
    except OSError:
        _State.target.unlink(missing_ok=True)  # the next run makes it anew
        raise
    if not loaded.runs_here():
        raise RuntimeError("this CPU has no AVX-512 BF16")
    return loaded


def _remove_leftovers(folder: Path) -> None:
    """What killed processes left unfinished."""
    for file in folder.glob(f"kernels-*{_UNFINISHED}"):
        if time.time() - file.stat().st_mtime > _PATIENCE:
            file.unlink(missing_ok=True)
