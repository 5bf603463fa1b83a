"""The public REST API, called synchronously; knows nothing of terminals."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from sintonia.cli.failures import CommandFailed, ServerUnreachable

Json = dict[str, Any]

_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
# An answer on a slow CPU can take minutes; a connection to a server that is there takes no time.
_TIMEOUT = httpx.Timeout(600.0, connect=5.0)


class RestClient:
    """One server, one project, one location. Safe to share between threads.

    Args:
        url: the server's address; http unless it says https.
        token: to sign in with, if the server asks for one.
        ca: PEM file of an authority whose certificates are trusted besides those of the usual ones.

    Every method raises CommandFailed when the server answers with an error, and ServerUnreachable when it does not
    answer.
    """

    def __init__(
        self,
        url: str,
        *,
        project: str = "local",
        location: str = "us-central1",
        ca: Path | None = None,
        token: str | None = None,
    ) -> None:
        self.url = (url if "://" in url else f"http://{url}").rstrip("/")
        self.parent = f"projects/{project}/locations/{location}"
        self.project = project
        try:
            base = httpx.URL(self.url)
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            # A proxy of the environment knows nothing of this machine's loopback.
            self._http = httpx.Client(
                base_url=base,
                headers=headers,
                timeout=_TIMEOUT,
                trust_env=base.host not in _LOOPBACK,
                verify=_trust(ca),
            )
        except (httpx.InvalidURL, ValueError) as error:
            raise CommandFailed("INVALID_ARGUMENT", f"{url!r} is not an address of a server: {error}") from None

    def close(self) -> None:
        self._http.close()

    def name_of(self, collection: str, resource: str) -> str:
        """The full name of ``resource``, which may be an id or a name already (``123``, ``endpoints/123``, …)."""
        if resource.startswith("projects/"):
            return resource
        return f"{self.parent}/{collection}/{resource.removeprefix(collection + '/')}"

    @staticmethod
    def path_of(name: str) -> str:
        """Where the resource of this full name is; a verb may follow."""
        return f"/v1/{quote(name, safe='/@')}"

    @staticmethod
    def path_of_bucket(bucket: str) -> str:
        return f"/storage/v1/b/{quote(bucket, safe='')}"

    def get(self, path: str, **params: Any) -> Json:
        return self._answer("GET", path, params=params)

    def post(self, path: str, body: Json | None = None, **params: Any) -> Json:
        return self._answer("POST", path, params=params, json=body if body is not None else {})

    def delete(self, path: str, **params: Any) -> Json:
        return self._answer("DELETE", path, params=params)

    def patch(self, path: str, body: Json, **params: Any) -> Json:
        return self._answer("PATCH", path, params=params, json=body)

    def pages(self, path: str, key: str, **params: Any) -> Iterator[Json]:
        """The items under ``key`` of all pages of a list."""
        token = ""
        while True:
            page = self.get(path, **params, **({"pageToken": token} if token else {}))
            yield from page.get(key, [])
            token = page.get("nextPageToken", "")
            if not token:
                return

    def get_resource(self, name: str) -> Json:
        return self.get(self.path_of(name))

    def generate(self, target: str, body: Json) -> Json:
        """One whole answer of the endpoint or model of this name."""
        return self.post(f"{self.path_of(target)}:generateContent", body)

    def stream(self, target: str, body: Json) -> Iterator[Json]:
        """The pieces of an answer as they come."""
        path = f"{self.path_of(target)}:streamGenerateContent"
        with self._stream("POST", path, params={"alt": "sse"}, json=body) as response:
            for line in response.iter_lines():
                if line.startswith("data: "):
                    chunk = json.loads(line.removeprefix("data: "))
                    if "error" in chunk:
                        raise _failure(chunk, response)
                    yield chunk

    def start_upload(self, bucket: str, name: str, *, size: int) -> str:
        """Where the ``size`` bytes of an object go in pieces, as ``exchange`` takes it."""
        response = self.exchange(
            "POST",
            f"/upload{self.path_of_bucket(bucket)}/o",
            params={"uploadType": "resumable", "name": name},
            headers={"X-Upload-Content-Length": str(size), "X-Upload-Content-Type": "application/octet-stream"},
        )
        _raise_for_error(response)
        return httpx.URL(
            response.headers.get("location", "/")
        ).raw_path.decode()  # of this server, whatever it is called

    def exchange(self, method: str, path: str, **request: Any) -> httpx.Response:
        """The plain answer, whatever it says."""
        with self._connected():
            return self._http.request(method, path, **request)

    def path_of_object(self, bucket: str, name: str) -> str:
        return f"{self.path_of_bucket(bucket)}/o/{quote(name, safe='')}"

    def get_object(self, bucket: str, name: str) -> Json:
        return self.get(self.path_of_object(bucket, name))

    def delete_object(self, bucket: str, name: str) -> None:
        self.delete(self.path_of_object(bucket, name))

    def download(self, bucket: str, name: str, *, generation: str, start: int = 0) -> Iterator[bytes]:
        """An object's bytes from ``start`` on, as they are stored."""
        headers = {"Range": f"bytes={start}-"} if start else {}
        params = {"alt": "media", "generation": generation}
        with self._stream("GET", self.path_of_object(bucket, name), params=params, headers=headers) as response:
            yield from response.iter_raw(1 << 20)

    def _answer(self, method: str, path: str, **request: Any) -> Json:
        response = self.exchange(method, path, **request)
        _raise_for_error(response)
        if response.status_code == 204:
            return {}
        document = _parse(response.content)
        if not isinstance(document, dict):
            raise CommandFailed("UNKNOWN", f"{self.url} did not answer with JSON; is that a Sintonia server?")
        return document

    @contextmanager
    def _stream(self, method: str, path: str, **request: Any) -> Iterator[httpx.Response]:
        with self._connected(), self._http.stream(method, path, **request) as response:
            if response.is_error:
                response.read()
                _raise_for_error(response)
            yield response

    @contextmanager
    def _connected(self) -> Iterator[None]:
        try:
            yield
        except httpx.TimeoutException as error:
            reason = "it did not answer in time" if not isinstance(error, httpx.ConnectTimeout) else "timed out"
            raise ServerUnreachable(self.url, reason) from None
        except httpx.ConnectError as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                why = str(error).partition("verify failed: ")[2].rpartition(" (")[0]
                raise CommandFailed(
                    "FAILED_PRECONDITION",
                    f"The certificate of {self.url} is not trusted: {why}. Name its authority by --ca or SINTONIA_CA.",
                ) from None
            reason = "it does not speak TLS" if "SSL" in str(error) else "connection refused"
            raise ServerUnreachable(self.url, reason) from None
        except (httpx.TransportError, httpx.StreamError) as error:
            raise ServerUnreachable(self.url, f"the connection broke: {error}") from None


def _trust(ca: Path | None) -> ssl.SSLContext:
    context = httpx.create_ssl_context()  # the usual authorities, or those of SSL_CERT_FILE or SSL_CERT_DIR
    if ca is not None:
        try:
            context.load_verify_locations(ca.expanduser())
        except OSError as error:  # an SSLError is one as well
            reason = "it is no PEM file of certificates" if isinstance(error, ssl.SSLError) else error.strerror
            raise CommandFailed("INVALID_ARGUMENT", f"The authority '{ca}' cannot be used: {reason}.") from None
    return context


def _parse(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return None


def failure_of(response: httpx.Response) -> CommandFailed:
    """What an answer that is an error says."""
    return _failure(_parse(response.content), response)


def _raise_for_error(response: httpx.Response) -> None:
    if not response.is_success:
        raise failure_of(response)


def _failure(document: Any, response: httpx.Response) -> CommandFailed:
    """The API's error document as an exception; array streams wrap it in a list."""
    if isinstance(document, list) and document:
        document = document[0]
    error = document.get("error") if isinstance(document, dict) else None
    if isinstance(error, dict):
        status, message = str(error.get("status", "UNKNOWN")), str(error.get("message", "")).strip()
        if status == "UNAUTHENTICATED":
            message += " Here: put a token into SINTONIA_TOKEN, or into a file that --token-file names."
        return CommandFailed(status, message)
    return CommandFailed(
        "UNKNOWN", f"{response.request.url} answered HTTP {response.status_code}; is that a Sintonia server?"
    )
