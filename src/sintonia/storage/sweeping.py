"""What killed processes left behind, and uploads whose week is over, are removed; never what is in use."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sintonia.errors import NotFound
from sintonia.storage.bucket_folder import INCOMING, NEW, BucketFolder
from sintonia.storage.files import is_directory, open_file, read_json, try_lock
from sintonia.storage.names import is_bucket_name
from sintonia.storage.uploads import LIFETIME

TRASH = ".trash-"
# No request takes as long between two files that belong together.
_DRAFT_LIFETIME = timedelta(hours=1)
# Bytes that no record names may belong to an upload that announced them: it is gone by then.
_ORPHAN_LIFETIME = LIFETIME + timedelta(days=1)


def sweep(root: Path, now: datetime) -> None:
    for path in _older(root, now, _DRAFT_LIFETIME):
        if path.name.startswith((NEW, TRASH)) and is_directory(path):
            shutil.rmtree(path, ignore_errors=True)
    for name in filter(is_bucket_name, os.listdir(root) if root.is_dir() else []):
        with suppress(NotFound):  # deleted meanwhile
            folder = BucketFolder(root, name)
            _sweep_uploads(folder.uploads, now)
            _sweep_drafts(folder, now)
            _sweep_orphans(folder, now)


def _sweep_uploads(uploads: Path, now: datetime) -> None:
    for info in uploads.glob("*.json"):
        with suppress(FileNotFoundError):
            if now - datetime.fromisoformat(read_json(info)["created"]) > LIFETIME:
                part = info.with_suffix(".part")
                if not part.exists() or _is_free(part):
                    info.unlink()
                    part.unlink(missing_ok=True)
    for path in _older(uploads, now, _DRAFT_LIFETIME):
        lonely = path.suffix == ".part" and not path.with_suffix(".json").exists()
        if lonely or path.name.startswith("."):
            path.unlink(missing_ok=True)


def _sweep_drafts(folder: BucketFolder, now: datetime) -> None:
    for directory in (folder.path, folder.records, folder.data):
        for path in _older(directory, now, _DRAFT_LIFETIME):
            if path.name.startswith(".") and (not path.name.startswith(INCOMING) or _is_free(path)):
                path.unlink(missing_ok=True)


def _sweep_orphans(folder: BucketFolder, now: datetime) -> None:
    """Only where a name has no record, or several files, can one of its files be an orphan."""
    recorded = {file.removesuffix(".json") for file in folder.record_files()}
    keys = Counter(file.rpartition("@")[0] for file in os.listdir(folder.data))
    for path in _older(folder.data, now, _ORPHAN_LIFETIME):
        key, _, generation = path.name.rpartition("@")
        if not path.name.startswith(".") and (key not in recorded or keys[key] > 1):
            with folder.locked():
                try:
                    current = read_json(folder.records / f"{key}.json")["generation"]
                except FileNotFoundError:
                    current = None
                if str(current) != generation:
                    path.unlink(missing_ok=True)


def _is_free(path: Path) -> bool:
    try:
        descriptor = open_file(path)
    except FileNotFoundError:
        return False
    try:
        return try_lock(descriptor)
    finally:
        os.close(descriptor)


def _older(directory: Path, now: datetime, than: timedelta) -> Iterator[Path]:
    """By the time a file last got a name or content."""
    with suppress(FileNotFoundError):
        for path in directory.iterdir():
            with suppress(FileNotFoundError):
                if now - datetime.fromtimestamp(path.lstat().st_ctime, UTC) > than:
                    yield path
