"""streamGenerateContent byte for byte as wire.md section 3 has it, and what happens when either side leaves."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from test_sdks import run_client

from endless_models import CONTEXT, endless_copy
from server import LOCATION, PATIENCE, Server, until

MODEL = f"{LOCATION}/publishers/google/models/gemini-1.0-pro-002"
PATH = f"/v1/{MODEL}:streamGenerateContent"
ARRAY, EVENTS = "application/json; charset=UTF-8", "text/event-stream"
FORMS = [("", ARRAY), ("alt=sse", EVENTS)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, tiny_model_dir: Path) -> Iterator[Server]:
    """A server of its own, because engines are killed here; its model takes replies that do not end by themselves."""
    folder = tmp_path_factory.mktemp("streaming")
    model = endless_copy(tiny_model_dir, folder / "model")
    settings = 'serving_threads = 1\nprecision = "float32"\n\n[aliases]\n"gemini-1.0-pro-002" = "tiny"\n'
    server = Server(folder / "home", base_models={"tiny": model}, settings=settings)
    server.start()
    server.generate(MODEL, "hello")  # The engine runs.
    yield server
    server.stop()


def body(*, tokens: int = 12, **config: Any) -> dict[str, Any]:
    return {
        "contents": [{"role": "user", "parts": [{"text": "Why is sky blue?"}]}],
        "generationConfig": {"temperature": 0, "maxOutputTokens": tokens, **config},
    }


def endless() -> dict[str, Any]:
    return body(tokens=CONTEXT - 1000)


def chunks_of(content: bytes, form: str) -> list[dict[str, Any]]:
    """The documents of a whole stream, whose every other byte must be as it should."""
    if form == ARRAY:
        parts = content.removeprefix(b"[").removesuffix(b"\n]").split(b"\n,\r\n")
        assert b"[" + b"\n,\r\n".join(parts) + b"\n]" == content
    else:
        parts = content.split(b"\r\n\r\n")
        assert parts.pop() == b""
        assert all(part.startswith(b"data: {") for part in parts)
        parts = [part.removeprefix(b"data: ") for part in parts]
    assert all(part.startswith(b"{") and part.endswith(b"}") and b"\n" not in part for part in parts)
    return [json.loads(part) for part in parts]


def streamed(server: Server, query: str, asked: dict[str, Any], **headers: str) -> tuple[httpx.Headers, bytes]:
    with httpx.stream("POST", f"{server.url}{PATH}?{query}", json=asked, headers=headers, timeout=PATIENCE) as response:
        assert response.status_code == 200
        return response.headers, b"".join(response.iter_raw())


@pytest.mark.parametrize(
    ("query", "form"),
    [
        *FORMS,
        ("$alt=json;enum-encoding=int", ARRAY),
        ("%24alt=json%3Benum-encoding%3Dint", ARRAY),
        ("alt=json", ARRAY),
        ("$alt=sse", EVENTS),
        ("%24alt=sse", EVENTS),
        ("alt=sse&$alt=json;enum-encoding=int", EVENTS),
        ("$alt=json;enum-encoding=int&alt=sse&key=k", EVENTS),
    ],
)
def test_the_bytes_of_a_stream(server: Server, query: str, form: str) -> None:
    headers, content = streamed(server, query, body())
    assert headers["content-type"] == form
    assert "content-encoding" not in headers
    chunks = chunks_of(content, form)
    whole = server.call("POST", f"/v1/{MODEL}:generateContent", body())
    text = "".join(chunk["candidates"][0]["content"]["parts"][0]["text"] for chunk in chunks)
    assert text == whole["candidates"][0]["content"]["parts"][0]["text"]
    assert chunks[-1]["candidates"][0]["finishReason"] == whole["candidates"][0]["finishReason"]
    assert chunks[-1]["usageMetadata"] == whole["usageMetadata"]


@pytest.mark.parametrize(("query", "form"), FORMS)
def test_the_shape_of_each_chunk(server: Server, query: str, form: str) -> None:
    chunks = chunks_of(streamed(server, query, body(temperature=1, seed=3))[1], form)
    assert len(chunks) > 2
    for field in ("modelVersion", "responseId", "createTime"):
        assert len({chunk[field] for chunk in chunks}) == 1
    for chunk in chunks:
        (candidate,) = chunk["candidates"]
        (part,) = candidate["content"]["parts"]
        assert isinstance(part["text"], str)
        assert (candidate["index"], candidate["content"]["role"]) == (0, "model")
        last = chunk is chunks[-1]
        assert ("finishReason" in candidate, "avgLogprobs" in candidate, "usageMetadata" in chunk) == (last,) * 3
        assert part["text"] or last


@pytest.mark.parametrize(("query", "form"), FORMS)
def test_several_candidates_come_in_turn(server: Server, query: str, form: str) -> None:
    asked = body(temperature=1, seed=5, candidateCount=3)
    chunks = chunks_of(streamed(server, query, asked)[1], form)
    texts, ends = ["", "", ""], []
    for chunk in chunks:
        (candidate,) = chunk["candidates"]
        texts[candidate["index"]] += candidate["content"]["parts"][0]["text"]
        if "finishReason" in candidate:
            ends.append(candidate["index"])
    whole = server.call("POST", f"/v1/{MODEL}:generateContent", asked)
    assert texts == [candidate["content"]["parts"][0]["text"] for candidate in whole["candidates"]]
    assert sorted(ends) == [0, 1, 2]
    assert ["usageMetadata" in chunk for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert chunks[-1]["usageMetadata"] == whole["usageMetadata"]
    first_two = [chunk["candidates"][0]["index"] for chunk in chunks[:3]]
    assert len(set(first_two)) > 1  # Not one after the other.


@pytest.mark.parametrize(("query", "form"), FORMS)
@pytest.mark.parametrize("encoding", ["identity", "gzip, deflate, br"])
def test_a_chunk_comes_as_soon_as_it_exists(server: Server, query: str, form: str, encoding: str) -> None:
    """Read while the engine still works on the reply; also for clients that would take it compressed."""
    headers = {"accept-encoding": encoding}
    with httpx.stream(
        "POST", f"{server.url}{PATH}?{query}", json=endless(), headers=headers, timeout=PATIENCE
    ) as response:
        assert response.headers["content-type"] == form
        assert "content-encoding" not in response.headers
        pieces = response.iter_raw()
        assert next(pieces).startswith(b"[{" if form == ARRAY else b"data: {")
        assert server.load() == 1
    until(lambda: server.load() == 0, what="an idle engine", server=server)


@pytest.mark.parametrize("query", ["", "alt=sse"])
@pytest.mark.parametrize(
    ("model", "config", "status", "message"),
    [
        (MODEL, {"temperature": 3}, 400, "Unable to submit request because it has a temperature value of 3"),
        (MODEL, {"responseMimeType": "application/json"}, 400, "generation_config.response_mime_type"),
        (f"{LOCATION}/endpoints/9", {}, 404, f"Endpoint `{LOCATION}/endpoints/9` not found."),
    ],
)
def test_errors_before_the_first_chunk_are_ordinary_errors(
    server: Server, query: str, model: str, config: dict[str, Any], status: int, message: str
) -> None:
    response = server.request("POST", f"/v1/{model}:streamGenerateContent?{query}", json=body(**config))
    assert (response.status_code, response.headers["content-type"]) == (status, ARRAY)
    error = response.json()["error"]
    assert error["code"] == status
    assert error["message"].startswith(message)


# Either side leaves in mid-stream


def test_an_error_in_mid_stream_is_the_last_event(server: Server) -> None:
    content = b""
    with httpx.stream("POST", f"{server.url}{PATH}?alt=sse", json=endless(), timeout=PATIENCE) as response:
        for piece in response.iter_raw():
            if not content:
                server.engines()[0].kill()
            content += piece
    *chunks, last = chunks_of(content, EVENTS)
    assert chunks
    assert all("candidates" in chunk for chunk in chunks)
    assert (last["error"]["code"], last["error"]["status"]) == (503, "UNAVAILABLE")
    server.generate(MODEL, "and all is well again")


def test_an_error_in_mid_stream_aborts_an_array(server: Server) -> None:
    content = b""

    def read() -> None:
        nonlocal content
        with httpx.stream("POST", server.url + PATH, json=endless(), timeout=PATIENCE) as response:
            for piece in response.iter_raw():
                if not content:
                    server.engines()[0].kill()
                content += piece

    with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"):
        read()
    assert content.startswith(b"[{")
    assert not content.endswith(b"]")
    assert b'"error"' not in content
    server.generate(MODEL, "and all is well again")


@pytest.mark.parametrize("silent", [False, True])
@pytest.mark.parametrize("verb", ["generateContent", "streamGenerateContent", "streamGenerateContent?alt=sse"])
def test_a_client_that_leaves_stops_the_engine(server: Server, verb: str, silent: bool) -> None:
    """Amid a stream, and before anything was sent: then a stop sequence that may yet come holds the text back."""
    asked = endless()
    if silent:
        begin = server.generate(MODEL, "Why is sky blue?", maxOutputTokens=400)
        asked["generationConfig"]["stopSequences"] = [begin + "\x00"]
    elif verb == "generateContent":
        asked["generationConfig"]["candidateCount"] = 2
    with closing(sent(server, verb, asked)) as client:
        if silent or verb == "generateContent":
            until(lambda: server.load() > 0, what="a busy engine", server=server)
        else:
            assert client.recv(9) == b"HTTP/1.1 "
    # Other replies would take turns with one that goes on, and it would go on for long after them.
    server.generate(MODEL, "a reply that takes a while", maxOutputTokens=300)
    assert any(server.load() == 0 for _ in range(20))


def sent(server: Server, verb: str, asked: dict[str, Any]) -> socket.socket:
    """A connection over which the request was sent."""
    address = urlsplit(server.url)
    assert address.hostname is not None
    client = socket.create_connection((address.hostname, address.port or 80), timeout=PATIENCE)
    content = json.dumps(asked).encode()
    head = f"POST /v1/{MODEL}:{verb} HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Length: {len(content)}\r\n\r\n"
    client.sendall(head.encode() + content)
    return client


# The official clients


def test_the_official_clients_read_the_streams(server: Server) -> None:
    seen = run_client("streaming_flow.py", server.url)
    whole = server.generate(MODEL, "Why is sky blue?", maxOutputTokens=12)
    for client in ("gapic", "gapic_v1beta1", "vertexai", "genai", "genai_async"):
        assert seen[client]["text"] == whole, client
        assert seen[client]["chunks"] > 2
        assert seen[client]["finish"] in ("STOP", "MAX_TOKENS")
        assert seen[client]["tokens"] > 12
    assert seen["candidates"] == {"gapic": [0, 1, 2], "vertexai": [0, 1, 2], "genai": [0, 1, 2]}
    assert all(value < 0 for value in seen["avg_logprobs"])
    assert seen["logprobs"] == [12, 12]
    assert seen["computed"] == {"gapic": "Why is sky blue?", "genai": "Why is sky blue?"}
    # Errors become the clients' own, by their HTTP status.
    assert seen["missing"] == {"gapic": "NotFound", "vertexai": "NotFound", "genai": [404, "NOT_FOUND"]}
    assert seen["wrong"] == {"gapic": "BadRequest", "vertexai": "BadRequest", "genai": [400, "INVALID_ARGUMENT"]}


@pytest.mark.parametrize(
    ("client", "error"), [("genai", "ServerError 503 UNAVAILABLE"), ("gapic", "ChunkedEncodingError")]
)
def test_the_official_clients_notice_an_error_in_mid_stream(server: Server, client: str, error: str) -> None:
    seen = run_client("midstream_flow.py", server.url, client, str(server.engines()[0].pid))
    assert seen["chunks"] > 0
    assert seen["error"] == error
    server.generate(MODEL, "and all is well again")
