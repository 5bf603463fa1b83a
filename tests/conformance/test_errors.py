"""``docs/reference/errors.md`` is true: a real server is made to say every line of it."""

from __future__ import annotations

import ast
import json
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import oidc_provocations
import pytest
import sign_in_provocations
import torch
from provocations import LOCATION, REQUESTS, TINY, TRAIN, tuned
from safetensors.torch import load, save
from test_grpc import GENERATE, Caller

from rows import shouting_rows
from server import PATIENCE, Server
from sintonia.errors import ApiError

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "errors.md"
SOURCE = ROOT / "src" / "sintonia"

SETTINGS = """max_request_bytes = 65536
header_timeout_seconds = 2
body_timeout_seconds = 2
training_threads = 1
serving_threads = 1
grpc_port = 0
grpc_security = "plaintext"
[aliases]
"moving" = "tiny"
[[storage]]
uri = "file://{shared}"
[[storage]]
uri = "file://{shared}/kept"
read_only = true
[[base_models]]
id = "narrow"
source = "{tiny}"
adapter_sizes = [1, 4]
default_adapter_size = 4
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, tiny_model_dir: Path) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("errors")
    weights = (tiny_model_dir / "model.safetensors").read_bytes()
    nothing = {name: torch.full_like(value, torch.nan) for name, value in load(weights).items()}
    entries = {
        "tiny": tiny_model_dir,
        "absent": home / "absent",
        "remote": Path("nobody/nothing"),
        "broken": _but(tiny_model_dir, home / "broken", "model.safetensors", b"no weights"),
        "garbled": _but(tiny_model_dir, home / "garbled", "config.json", b"{"),
        "listed": _but(tiny_model_dir, home / "listed", "config.json", b"[]"),
        "sizeless": _but(tiny_model_dir, home / "sizeless", "config.json", b"{}"),
        "mute": _but(tiny_model_dir, home / "mute", "chat_template.jinja", b""),
        "numberless": _but(tiny_model_dir, home / "numberless", "model.safetensors", save(nothing, {"format": "pt"})),
    }
    server = Server(
        home / "home", base_models=entries, settings=SETTINGS.format(tiny=tiny_model_dir, shared=home / "shared")
    )
    server.start()
    server.call("POST", "/storage/v1/b?project=q", {"name": "sintonia-metrics-p"})
    server.upload(TRAIN, shouting_rows(12))
    server.upload("gs://my-data/rows.csv", b"a,b\n")
    yield server
    server.stop()
    oidc_provocations.stop()
    sign_in_provocations.stop()


def _but(model: Path, path: Path, name: str, content: bytes) -> Path:
    """A model with another content of one of its files."""
    path.mkdir()
    for file in model.iterdir():
        (path / file.name).write_bytes(content if file.name == name else file.read_bytes())
    return path


BAD_ROWS: dict[str, list[Any] | bytes] = {
    "a dataset with a bad line": [*shouting_rows(12), {"contents": [{"role": "wizard", "parts": [{"text": "x"}]}]}],
    "an empty dataset": b"\n",
    "a dataset of which over 10 % do not fit": [*shouting_rows(4), *({"contents": [{"role": "user", "parts": [{
        "text": "word " * 3000}]}, {"role": "model", "parts": [{"text": "x"}]}]} for _ in range(2))],
    "a validation dataset that is too large": shouting_rows(1001),
}  # fmt: skip
BAD_MODELS = {
    "a base model without a chat template": "mute",
    "a base model that cannot be loaded, tuned": "broken",
    "weights that are no numbers": "numberless",
}

# Words that no request to this server can bring about.
ELSEWHERE = {
    "; choose another port with --grpc-port, or look at the certificate.": "a port taken between two looks at it",
    "Invalid object name: it is not valid Unicode.": "a storage without a web server before it",
    " bytes of this upload have arrived; go on from there.": "a piece behind a gap gets a 308 that says the same",
    "' is finished; nothing can be added to it.": "a finished upload answers what it became, but between two looks",
}

# What the server's log tells, and nobody else.
LOGGED = {"metrics that cannot be written beside a job": tuned}

GRPC: dict[str, tuple[str, dict[str, Any] | bytes]] = {
    "a method that this server does not have": (
        "PredictionService/Predict", {"endpoint": f"{LOCATION}/endpoints/9"}
    ),
    "a name of another form": ("GenAiTuningService/GetTuningJob", {"name": "9"}),
    "bytes that are no message": (GENERATE, b"\xff"),
    "a message that JSON cannot say": (
        GENERATE,
        {"model": TINY.removeprefix("/v1/"), "contents": [{"parts": [{"functionCall": {
            "name": "f", "args": {"x": float("nan")}}}]}]},
    ),
    "a message over the limit (setting `max_request_bytes`)": (
        GENERATE, {"model": TINY.removeprefix("/v1/"), "contents": [{"parts": [{"text": "x" * 65536}]}]}
    ),
}  # fmt: skip

BASE_MODEL = '[[base_models]]\nid = "mine"\nsource = "/mine"\n'
OIDC = 'oidc_issuer = "https://id.example.com"\noidc_audience = "x"\n'
GRANT = '[[oidc_grants]]\nvalue = "x"\nproject = "*"\nrole = "viewer"\n'
# Options of ``serve``, settings, and Python to run before.
STARTS: dict[str, tuple[list[str], str, str]] = {
    "a certificate without its key": (["--tls-certificate", "server.pem"], "", ""),
    "a certificate that is not there": (["--tls-certificate", "nowhere.pem", "--tls-key", "server.key"], "", ""),
    "files that are no certificate": (["--tls-certificate", "sintonia.toml", "--tls-key", "sintonia.toml"], "", ""),
    "an OpenID issuer that is not https": ([], OIDC.replace("https", "http") + GRANT, ""),
    "an OpenID issuer without an audience and grants": ([], 'oidc_issuer = "https://id.example.com"', ""),
    "a grant of a role that is none": ([], OIDC + GRANT.replace("viewer", "king"), ""),
    "an OpenID issuer where nobody signs in": ([], OIDC + GRANT, ""),
    "an OpenID issuer without what it needs": (["--sign-in"], OIDC + GRANT, "sys.modules['jwt'] = None"),
    "gRPC without what it needs": (["--grpc-port", "0"], "", "sys.modules['grpc'] = None"),
    "gRPC without a certificate": (["--grpc-port", "0"], "", ""),
    "gRPC with files that are no certificate": (
        ["--grpc-port", "0"],
        'grpc_certificate = "sintonia.toml"\ngrpc_key = "sintonia.toml"',
        "",
    ),
    "gRPC with a cache that cannot be": (["--grpc-port", "0"], 'cache = "/dev/null/cache"', ""),
    "a port that is taken": (["--port", "TAKEN"], "", ""),
    "an address that others reach": (["--host", "0.0.0.0"], "", ""),
    "a settings file that is not there": (["--config", "nowhere.toml"], "", ""),
    "a settings file that is no TOML": ([], "port: 8080", ""),
    "a setting that does not exist": ([], "prot = 8080", ""),
    "an alias of a base model that is not there": ([], '[aliases]\nmine = "nothing"', ""),
    "a base model with adapter sizes that are none": ([], BASE_MODEL + "adapter_sizes = [3]", ""),
    "a base model of an unknown package": ([], BASE_MODEL.replace("/mine", "package:mine"), ""),
    "a storage place that is none": ([], '[[storage]]\nuri = "https://example.com/x"', ""),
    "a storage place that would open the home": ([], f'[[storage]]\nuri = "file://{tempfile.gettempdir()}"', ""),
    "a storage place of Google's while gs:// is ours": ([], '[[storage]]\nuri = "gs://team"', ""),
    "a storage place whose package is not installed": (
        [],
        '[[storage]]\nuri = "s3://team"',
        "import importlib.util as u; f = u.find_spec; u.find_spec = lambda n, *a: None if n == 's3fs' else f(n, *a)",
    ),
    "a database URL that cannot be read": ([], 'database_url = "x"', ""),
    "a database of another kind": ([], 'database_url = "mysql://localhost/x"', ""),
}


@dataclass(frozen=True)
class Row:
    condition: str
    http: str
    status: str
    message: str

    def __str__(self) -> str:
        return self.condition

    def says(self, message: str) -> bool:
        """In the page's examples, … stands for anything and a return sign for a line break."""
        pattern = ".*".join(re.escape(part) for part in self.message.replace("⏎", "\n").replace("⇥", "\t").split("…"))
        return re.fullmatch(pattern, message, re.DOTALL) is not None


def read_page() -> list[Row]:
    text = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    found = re.findall(
        r"^\| (?!condition|---)(.+?) \| (\d+|job|log|gRPC|start) \| ([A-Z_]+) \| (`+)(.+?)\4 \|$", text, re.MULTILINE
    )
    return [Row(condition, http, status, message.strip()) for condition, http, status, _, message in found]


ROWS = read_page()


def rows(*http: str) -> list[Row]:
    return [row for row in ROWS if row.http in http]


STATUSES = {kind.status: kind for kind in ApiError.__subclasses__()}


def test_the_page_has_every_provocation_once_and_no_other_row() -> None:
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    tables = sum(line.startswith("| condition |") for line in lines)
    assert len(lines) - tables == len(ROWS), "a row of the page cannot be read"
    provoked = [*REQUESTS, *BAD_ROWS, *BAD_MODELS, *LOGGED, *GRPC, *STARTS]
    assert sorted(row.condition for row in ROWS) == sorted(provoked)


def refusals() -> Iterator[tuple[str, str]]:
    """(place, words) of everything that the rooms that answer requests refuse in words of their own.

    Of words with values in them, the longest piece. Faults of the server or its machine are no refusals.
    """
    kinds = {kind.__name__ for kind in STATUSES.values()} - {"Internal", "Unavailable", "Cancelled"}
    for room in ("api", "resources", "services", "storage"):
        for file in sorted((SOURCE / room).rglob("*.py")):
            for call in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.args):
                    continue
                if call.func.id in {*kinds, "_invalid", "invalid_filter"}:
                    said = call.args[-1]
                    parts = said.values if isinstance(said, ast.JoinedStr) else [said]
                    texts = [part.value for part in parts if isinstance(part, ast.Constant)]
                    if words := max(map(str, texts), key=len, default=""):
                        yield f"{file.relative_to(SOURCE)}:{call.lineno}", words


def test_no_refusal_is_missing_on_the_page() -> None:
    page = PAGE.read_text(encoding="utf-8").replace("⏎", "\n").replace("⇥", "\t")
    page += re.sub(r"\n *", " ", page)  # words in running text
    missing = {place: words for place, words in refusals() if words not in page and words not in ELSEWHERE}
    assert not missing, "give each a row, and a provocation"


@pytest.mark.parametrize("row", rows(*{row.http for row in ROWS if row.http.isdigit()}), ids=str)
def test_a_request_is_refused_as_the_page_says(server: Server, row: Row) -> None:
    response = REQUESTS[row.condition](server)
    body = response.json()
    error = body["error"]
    assert (str(response.status_code), error["status"]) == (row.http, row.status), error
    assert row.says(error["message"]), json.dumps(error["message"], ensure_ascii=False)
    kind = STATUSES[row.status]
    assert error["code"] == response.status_code in {of.http for of in (kind, *kind.__subclasses__())}
    assert set(body) == {"error"}
    assert set(error) <= {"code", "message", "status", "details", "errors"}
    for detail in error.get("details", []):
        assert detail["@type"] == "type.googleapis.com/google.rpc.BadRequest"
        assert all(item["description"] for item in detail["fieldViolations"])
    assert response.headers["content-type"] == "application/json; charset=UTF-8"
    assert response.text.endswith("}\n")


@pytest.mark.parametrize("row", rows("job"), ids=str)
def test_a_job_fails_as_the_page_says(server: Server, row: Row) -> None:
    sets = [TRAIN]
    if content := BAD_ROWS.get(row.condition):
        uri = server.upload(f"gs://my-data/{abs(hash(row.condition))}.jsonl", content)
        sets = [TRAIN, uri] if "validation" in row.condition else [uri]
    base_model = BAD_MODELS.get(row.condition, "tiny")
    job = server.finished_job(server.create_job(base_model, *sets)["name"])
    assert job["state"] == "JOB_STATE_FAILED"
    assert job["error"]["code"] == STATUSES[row.status].code
    assert row.says(job["error"]["message"]), json.dumps(job["error"]["message"], ensure_ascii=False)


@pytest.mark.parametrize("row", rows("log"), ids=str)
def test_the_log_tells_what_the_page_says(server: Server, row: Row) -> None:
    LOGGED[row.condition](server)
    logged = server.log.read_text()
    assert any(row.says(line.partition(" WARNING ")[2]) for line in logged.splitlines()), logged[-3000:]


@pytest.fixture(scope="module")
def call(server: Server) -> Iterator[Caller]:
    caller = Caller(server)
    yield caller
    caller.channel.close()


@pytest.mark.parametrize("row", rows("gRPC"), ids=str)
def test_grpc_says_of_its_own_what_the_page_says(call: Caller, row: Row) -> None:
    with pytest.raises(grpc.RpcError) as failed:
        call(*GRPC[row.condition])
    assert failed.value.code().name == row.status
    assert row.says(failed.value.details()), failed.value.details()


@pytest.mark.parametrize("row", rows("start"), ids=str)
def test_a_server_does_not_start_as_the_page_says(row: Row, tmp_path: Path) -> None:
    options, settings, before = STARTS[row.condition]
    (tmp_path / "sintonia.toml").write_text(settings)
    program = f"import sys\n{before}\nfrom sintonia.cli import main\nmain()"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        options = [option.replace("TAKEN", str(taken.getsockname()[1])) for option in options]
        command = [sys.executable, "-c", program, "serve", "--port", "0", "--home", str(tmp_path), *options]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False, cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    told = done.stderr.strip()
    assert told.startswith(f"error: {row.status}: "), told
    assert row.says(told.removeprefix(f"error: {row.status}: ")), told
