"""Whose the things are that paths name without their project; answers the gate, and knows no roles."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from sintonia.services.endpoints import Endpoints
from sintonia.services.models import Models
from sintonia.storage import BucketStore


@dataclass(frozen=True)
class FoundOwners:
    """See ``gate.Owners``."""

    buckets: BucketStore
    endpoints: Endpoints
    models: Models

    async def of_bucket(self, name: str) -> str | None:
        return (await asyncio.to_thread(self.buckets.get_bucket, name)).project

    async def of_endpoint(self, name: str) -> str:
        return (await self.endpoints.find(None, name)).parent.project

    async def of_model(self, name: str) -> str:
        return (await self.models.find(None, name)).parent.project
