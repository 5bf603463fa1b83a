"""The name that a request gives itself, so that repeating it makes nothing twice. Does not know how they are kept."""

from __future__ import annotations

from fastapi import Request

REQUEST_ID = {
    "requestId": "A name for this request, such as a UUID; or in the header X-Request-Id. Sent again within a week, "
    "the request makes nothing new and is answered with what the first one made."
}


def request_id(request: Request) -> str | None:
    """The name that a request gives itself.

    What the URL says counts before the header X-Request-Id, which proxies may have put there.
    """
    query = request.query_params
    return query.get("requestId", query.get("request_id", request.headers.get("x-request-id")))
