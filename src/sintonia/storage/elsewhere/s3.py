"""S3 and what speaks like it (MinIO, Ceph), by s3fs; endpoint and credentials come from the environment (``AWS_*``)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sintonia.storage.elsewhere.remote import PART, QUICK_SECONDS, RemoteStore
from sintonia.storage.stores import FoundObject
from sintonia.storage.uri import ObjectUri


class S3Store(RemoteStore):
    """Versions are ETags: a read names the one it wants."""

    def _connect(self) -> Any:
        from s3fs import S3FileSystem

        # The patience is ours; the library's own would add to it.
        config = {"connect_timeout": 5, "read_timeout": 60, "retries": {"total_max_attempts": 2, "mode": "standard"}}
        return S3FileSystem(config_kwargs=config, use_listings_cache=False, skip_instance_cache=True)

    def _head(self, address: ObjectUri) -> FoundObject:
        told = self._files.call_s3("head_object", Bucket=address.bucket, Key=address.name, timeout=QUICK_SECONDS)
        return FoundObject(address, told["ContentLength"], told["ETag"])

    def _read(self, found: FoundObject, start: int, end: int, *, timeout: float) -> bytes:
        from fsspec.asyn import sync

        async def get() -> bytes:
            answer = await self._files._call_s3(
                "get_object",
                Bucket=found.address.bucket,
                Key=found.address.name,
                Range=f"bytes={start}-{end - 1}",
                IfMatch=found.version,
            )
            async with answer["Body"] as body:
                content: bytes = await body.read()
            return content

        content: bytes = sync(self._files.loop, get, timeout=timeout)
        return content

    def _send(self, address: ObjectUri, content: Path | bytes, content_type: str, *, timeout: float) -> None:
        path = f"{address.bucket}/{address.name}"
        if isinstance(content, bytes):
            self._files.pipe_file(path, content, ContentType=content_type, timeout=timeout)
        else:
            self._files.put_file(
                str(content), path, chunksize=PART, max_concurrency=2, timeout=timeout, ContentType=content_type
            )

    def _begin_and_cancel(self, address: ObjectUri) -> None:
        where = {"Bucket": address.bucket, "Key": address.name}
        begun = self._files.call_s3("create_multipart_upload", **where, timeout=QUICK_SECONDS)
        self._files.call_s3("abort_multipart_upload", **where, UploadId=begun["UploadId"], timeout=QUICK_SECONDS)

    def _list_one(self, address: ObjectUri) -> None:
        folder = address.name.rpartition("/")[0]
        self._files.call_s3("list_objects_v2", Bucket=address.bucket, Prefix=folder, MaxKeys=1, timeout=QUICK_SECONDS)
