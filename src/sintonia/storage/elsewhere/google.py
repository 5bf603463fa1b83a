"""Google's Cloud Storage by gcsfs, and what speaks like it at ``STORAGE_EMULATOR_HOST``.

Credentials are Google's application default ones (``GOOGLE_APPLICATION_CREDENTIALS``).
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from sintonia.storage.elsewhere.remote import PART, QUICK_SECONDS, RemoteStore
from sintonia.storage.stores import FoundObject
from sintonia.storage.uri import ObjectUri


class GoogleStore(RemoteStore):
    """Versions are generations: a read names the one it wants."""

    def _connect(self) -> Any:
        from gcsfs.core import GCSFileSystem

        # A file that is stored as gzip is read as it is stored, in ranges; the dataset reader unpacks it.
        session = {"auto_decompress": False, "headers": {"Accept-Encoding": "gzip"}, "trust_env": True}
        options = {
            "access": "read_write",
            "consistency": "md5",
            "session_kwargs": session,
            "use_listings_cache": False,
            "skip_instance_cache": True,
        }
        elsewhere = GCSFileSystem(token="anon", **options)
        return GCSFileSystem(token="google_default", **options) if elsewhere.on_google else elsewhere

    def _head(self, address: ObjectUri) -> FoundObject:
        told = self._files.call("GET", "b/{}/o/{}", address.bucket, address.name, json_out=True, timeout=QUICK_SECONDS)
        return FoundObject(address, int(told["size"]), str(told["generation"]))

    def _read(self, found: FoundObject, start: int, end: int, *, timeout: float) -> bytes:
        path = f"{found.address.bucket}/{found.address.name}"
        content: bytes = self._files.cat_file(path, start=start, end=end, generation=found.version, timeout=timeout)
        return content

    def _send(self, address: ObjectUri, content: Path | bytes, content_type: str, *, timeout: float) -> None:
        path = f"{address.bucket}/{address.name}"
        if isinstance(content, bytes):
            self._files.pipe_file(path, content, content_type=content_type, timeout=timeout)
        else:
            self._files.put_file(str(content), path, chunksize=PART, content_type=content_type, timeout=timeout)

    def _begin_and_cancel(self, address: ObjectUri) -> None:
        from fsspec.asyn import sync
        from gcsfs.core import initiate_upload

        session = sync(
            self._files.loop, initiate_upload, self._files, address.bucket, address.name, timeout=QUICK_SECONDS
        )

        async def forget() -> None:
            async with self._files.session.delete(session, headers=self._files._get_headers(None)):
                pass

        with suppress(Exception):  # it would be forgotten after a week anyway
            sync(self._files.loop, forget, timeout=QUICK_SECONDS)

    def _list_one(self, address: ObjectUri) -> None:
        folder = address.name.rpartition("/")[0]
        self._files.call(
            "GET", "b/{}/o", address.bucket, prefix=folder, maxResults=1, json_out=True, timeout=QUICK_SECONDS
        )
