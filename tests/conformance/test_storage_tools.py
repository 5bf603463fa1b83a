"""The cloud's own tools for buckets, where the machine has them: ``gcloud storage`` over http and with sign-in, and
``gsutil``, which speaks https only. Their files of credentials and settings are private to the tests.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from compatibility import Compatibility
from test_readme import blocks

from relay import Relay
from server import PATIENCE, Server
from signed_in import SignedInServer
from sintonia.services.access import Role

GCLOUD, GSUTIL = shutil.which("gcloud"), shutil.which("gsutil")
PROJECT = "tools"
# Over the size from which both send in pieces, and goes on where it stopped.
LARGE = 24 * 2**20
COMPOSITE = {
    "CLOUDSDK_STORAGE_PARALLEL_COMPOSITE_UPLOAD_ENABLED": "True",
    "CLOUDSDK_STORAGE_PARALLEL_COMPOSITE_UPLOAD_THRESHOLD": "8M",
    "CLOUDSDK_STORAGE_PARALLEL_COMPOSITE_UPLOAD_COMPONENT_SIZE": "8M",
}
ODD = "ä & + % #1 \"q\" 'a'.txt"


class Tool:
    """A program and its environment; ``works`` tells of calls that were seen to work."""

    def __init__(self, program: tuple[str, ...], env: Mapping[str, str], folder: Path) -> None:
        self.program, self.folder = program, folder
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(("CLOUDSDK_", "HTTPLIB2_"))
        }
        self.env = {
            **inherited,
            "CLOUDSDK_CONFIG": str(folder / "config"),
            "CLOUDSDK_CORE_PROJECT": PROJECT,
            "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
            "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "1",
            "CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK": "1",
            **env,
        }

    def start(self, *arguments: str, **env: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*self.program, *arguments],
            cwd=self.folder,
            env={**self.env, **env},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # both are shell scripts around what does the work
        )

    def fails(self, *arguments: str) -> str:
        """What it says then."""
        process = self.start(*arguments)
        out, error = process.communicate(timeout=PATIENCE)
        assert process.returncode != 0, (arguments, out)
        return error.decode()

    def __call__(self, *arguments: str, given: bytes = b"", **env: str) -> bytes:
        """What it prints."""
        process = self.start(*arguments, **env)
        out, error = process.communicate(given, timeout=PATIENCE)
        assert process.returncode == 0, f"{arguments}: {out.decode(errors='replace')}{error.decode()[-3000:]}"
        return out

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "--format=json"))


def files(folder: Path) -> bytes:
    """Files to send, in ``folder``; the bytes of the large one."""
    large = random.Random(5).randbytes(LARGE)
    for name, content in (("small.txt", b"small\n"), ("large.bin", large), (ODD, b"odd\n")):
        (folder / name).write_bytes(content)
    for name in ("tree/a.txt", "tree/deep/b.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return large


@pytest.fixture(scope="module")
def signed_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SignedInServer]:
    server = SignedInServer(tmp_path_factory.mktemp("gcloud-storage"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def gcloud(signed_in: SignedInServer, tmp_path: Path) -> Tool:
    (tmp_path / "token").write_text(signed_in.token(**{PROJECT: Role.TUNER}))
    env = {
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE": f"{signed_in.url}/storage/v1/",
        "CLOUDSDK_AUTH_ACCESS_TOKEN_FILE": str(tmp_path / "token"),
    }
    return Tool((str(GCLOUD), "storage"), env, tmp_path)


@pytest.fixture
def gsutil(https_server: Server, tmp_path: Path) -> Tool:
    return Tool((str(GSUTIL),), boto(https_server, https_server.url.rpartition(":")[2], tmp_path), tmp_path)


def boto(server: Server, port: str, folder: Path) -> dict[str, str]:
    """A settings file of gsutil."""
    (folder / "boto").write_text(
        f"[Credentials]\ngs_json_host = localhost\ngs_json_port = {port}\n"
        f"[Boto]\nca_certificates_file = {server.home / 'certs' / 'ca.pem'}\n"
        f"[GSUtil]\nprefer_api = json\ndefault_project_id = {PROJECT}\nstate_dir = {folder / 'state'}\n"
        "software_update_check_period = 0\n"
    )
    return {
        "BOTO_CONFIG": str(folder / "boto"),
        "CLOUDSDK_CORE_PASS_CREDENTIALS_TO_GSUTIL": "0",
        # Where the environment names authorities, this wins over the file's.
        "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE": str(server.home / "certs" / "ca.pem"),
    }


@pytest.mark.skipif(GCLOUD is None, reason="this machine has no gcloud")
def test_gcloud(gcloud: Tool, compatibility: Compatibility) -> None:
    def works(*calls: str) -> None:
        for call in calls:
            compatibility.tell(client="gcloud", version="any", over="JSON API, sign-in", call=f"gcloud storage {call}")

    large, folder = files(gcloud.folder), gcloud.folder
    gcloud("buckets", "create", "gs://gcloud-tried")
    gcloud("buckets", "update", "gs://gcloud-tried", "--update-labels=team=search")
    (bucket,) = gcloud.json("buckets", "list")
    assert (bucket["name"], bucket["labels"]) == ("gcloud-tried", {"team": "search"})
    works("buckets create", "buckets update of labels", "buckets list")

    gcloud("cp", "small.txt", ODD, "large.bin", "gs://gcloud-tried/up/")
    gcloud("cp", "gs://gcloud-tried/up/large.bin", "back.bin")
    assert (folder / "back.bin").read_bytes() == large
    assert gcloud("cat", f"gs://gcloud-tried/up/{ODD}") == b"odd\n"
    assert gcloud("cat", "-r", "1-3", "gs://gcloud-tried/up/small.txt") == b"mal"
    gcloud("cp", "-", "gs://gcloud-tried/streamed", given=b"in a pipe")
    assert gcloud("cp", "gs://gcloud-tried/streamed", "-") == b"in a pipe"
    works("cp of small, oddly named and large files", "cp of an object to a file", "cat", "cat of a range",
          "cp from and to a pipe")  # fmt: skip

    gcloud("cp", "large.bin", "gs://gcloud-tried/composed", **COMPOSITE)
    composed = gcloud.json("objects", "describe", "gs://gcloud-tried/composed")
    assert (composed["component_count"] > 1, composed["size"]) == (True, LARGE)
    plain = gcloud.json("objects", "describe", "gs://gcloud-tried/up/large.bin")
    assert composed["crc32c_hash"] == plain["crc32c_hash"]
    gcloud(
        "objects", "compose", "gs://gcloud-tried/streamed", "gs://gcloud-tried/up/small.txt", "gs://gcloud-tried/two"
    )
    works("cp as a parallel composite upload", "objects describe", "objects compose")

    gcloud("objects", "update", "gs://gcloud-tried/two", "--content-type=text/x-two", "--custom-metadata=made=here")
    (two,) = gcloud.json("objects", "list", "gs://gcloud-tried/two")
    assert (two["content_type"], two["custom_fields"]) == ("text/x-two", {"made": "here"})
    hashed = gcloud.json("hash", "gs://gcloud-tried/up/large.bin", "large.bin")
    assert hashed[0]["md5_hash"] == hashed[1]["md5_hash"] == plain["md5_hash"]
    assert "did not hold" in gcloud.fails("cp", "--if-generation-match=0", "small.txt", "gs://gcloud-tried/two")
    assert "did not hold" in gcloud.fails("rm", "--if-generation-match=7", "gs://gcloud-tried/two")
    works("objects update", "objects list", "hash", "cp and rm with --if-generation-match")

    gcloud("rsync", "-r", "tree", "gs://gcloud-tried/tree")
    gcloud("rsync", "-r", "gs://gcloud-tried/tree", "mirrored")
    assert (folder / "mirrored" / "deep" / "b.txt").read_text() == "tree/deep/b.txt"
    gcloud("mv", "gs://gcloud-tried/tree", "gs://gcloud-tried/moved")
    assert gcloud("ls", "-r", "gs://gcloud-tried/moved").decode().split() == [
        "gs://gcloud-tried/moved/:", "gs://gcloud-tried/moved/a.txt",
        "gs://gcloud-tried/moved/deep/:", "gs://gcloud-tried/moved/deep/b.txt",
    ]  # fmt: skip
    assert gcloud("du", "-s", "gs://gcloud-tried/moved").split()[0] == b"25"
    works("rsync both ways", "mv of a folder", "ls -r", "du")

    gcloud("rm", "gs://gcloud-tried/two")
    assert "not empty" in gcloud.fails("buckets", "delete", "gs://gcloud-tried")
    gcloud("rm", "-r", "gs://gcloud-tried/moved")
    gcloud("rm", "gs://gcloud-tried/**")
    gcloud("buckets", "delete", "gs://gcloud-tried")
    assert gcloud.json("buckets", "list") == []
    works("rm", "rm -r of a folder", "rm of a wildcard", "buckets delete")


@pytest.mark.skipif(GCLOUD is None, reason="this machine has no gcloud")
def test_gcloud_goes_on_where_it_was_killed(
    signed_in: SignedInServer, gcloud: Tool, compatibility: Compatibility
) -> None:
    large = files(gcloud.folder)
    gcloud("buckets", "create", "gs://gcloud-killed")
    with Relay(lambda: signed_in.url) as relay:
        gcloud.env["CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE"] = f"{relay.url}/storage/v1/"
        resumed = killed_and_repeated(relay, gcloud, "cp", "large.bin", "gs://gcloud-killed/large.bin")
        content = signed_in.request("GET", "/download/storage/v1/b/gcloud-killed/o/large.bin").content
        gcloud("rm", "-r", "gs://gcloud-killed")
    assert (resumed < LARGE * 0.9, content == large) == (True, True)
    for call in ("cp of a large file, killed and repeated", "rm -r of a bucket"):
        compatibility.tell(client="gcloud", version="any", over="JSON API, sign-in", call=f"gcloud storage {call}")


@pytest.mark.skipif(GSUTIL is None, reason="this machine has no gsutil")
def test_gsutil(https_server: Server, gsutil: Tool, compatibility: Compatibility) -> None:
    def works(*calls: str) -> None:
        for call in calls:
            compatibility.tell(client="gsutil", version="any", over="JSON API, https", call=f"gsutil {call}")

    large, folder = files(gsutil.folder), gsutil.folder
    gsutil("mb", "gs://gsutil-tried")
    assert gsutil("ls").split() == [b"gs://gsutil-tried/"]
    gsutil("cp", "small.txt", ODD, "large.bin", "gs://gsutil-tried/up/")
    gsutil("cp", "gs://gsutil-tried/up/large.bin", "back.bin")
    assert (folder / "back.bin").read_bytes() == large
    assert gsutil("cat", "-r", "1-3", "gs://gsutil-tried/up/small.txt") == b"mal"
    odd = quote(f"up/{ODD}", safe="")
    assert https_server.request("GET", f"/download/storage/v1/b/gsutil-tried/o/{odd}").content == b"odd\n"
    gsutil("cp", "-", "gs://gsutil-tried/streamed", given=b"in a pipe")
    works("mb", "ls", "cp of small, oddly named and large files", "cp of an object to a file", "cat of a range",
          "cp from a pipe")  # fmt: skip

    options = (
        "-o",
        "GSUtil:parallel_composite_upload_threshold=8M",
        "-o",
        "GSUtil:parallel_composite_upload_component_size=8M",
    )
    gsutil(*options, "cp", "large.bin", "gs://gsutil-tried/composed")
    stat = gsutil("stat", "gs://gsutil-tried/composed").decode()
    assert ("Component-Count:" in stat, f"Content-Length:         {LARGE}" in stat) == (True, True), stat
    gsutil("compose", "gs://gsutil-tried/streamed", "gs://gsutil-tried/up/small.txt", "gs://gsutil-tried/two")
    gsutil("setmeta", "-h", "Content-Type:text/x-two", "-h", "x-goog-meta-made:here", "gs://gsutil-tried/two")
    two = https_server.call("GET", "/storage/v1/b/gsutil-tried/o/two")
    assert (two["contentType"], two["metadata"]) == ("text/x-two", {"made": "here"})
    hashed = gsutil("hash", "-m", "gs://gsutil-tried/up/large.bin").decode()
    assert base64.b64encode(hashlib.md5(large).digest()).decode() in hashed
    assert "did not hold" in gsutil.fails(
        "-h", "x-goog-if-generation-match:0", "cp", "small.txt", "gs://gsutil-tried/two"
    )
    works("cp as a parallel composite upload", "stat", "compose", "setmeta", "hash", "cp with a condition")

    gsutil("rsync", "-r", "tree", "gs://gsutil-tried/tree")
    gsutil("mv", "gs://gsutil-tried/tree", "gs://gsutil-tried/moved")
    assert gsutil("ls", "-l", "-r", "gs://gsutil-tried/moved").decode().count("gs://gsutil-tried/moved/") == 4
    assert gsutil("du", "-s", "gs://gsutil-tried/moved").split()[0] == b"25"
    assert "BucketNotEmpty" in gsutil.fails("rb", "gs://gsutil-tried")
    gsutil("-m", "rm", "-r", "gs://gsutil-tried")
    assert https_server.call("GET", f"/storage/v1/b?project={PROJECT}")["items"] == []
    works("rsync", "mv of a folder", "ls -l -r", "du", "rb of a bucket that is not empty: refused", "rm -r of a bucket")


@pytest.mark.skipif(GSUTIL is None, reason="this machine has no gsutil")
def test_gsutil_goes_on_where_it_was_killed(https_server: Server, gsutil: Tool, compatibility: Compatibility) -> None:
    large = files(gsutil.folder)
    https_server.call("POST", f"/storage/v1/b?project={PROJECT}", {"name": "gsutil-killed"})
    with Relay(lambda: https_server.url) as relay:
        boto(https_server, relay.url.rpartition(":")[2], gsutil.folder)
        resumed = killed_and_repeated(relay, gsutil, "cp", "large.bin", "gs://gsutil-killed/large.bin")
    assert resumed < LARGE * 0.9
    assert https_server.request("GET", "/download/storage/v1/b/gsutil-killed/o/large.bin").content == large
    call = "gsutil cp of a large file, killed and repeated"
    compatibility.tell(client="gsutil", version="any", over="JSON API, https", call=call)


@pytest.mark.skipif(GCLOUD is None or GSUTIL is None, reason="this machine has no gcloud and gsutil")
def test_the_page(signed_in: SignedInServer, https_server: Server, gcloud: Tool) -> None:
    """docs/how-to/use-storage-clients.md as it is printed, but for addresses; and what it says of sign-in."""
    by_gcloud, boto_file, by_gsutil = blocks("docs/how-to/use-storage-clients.md", "gcloud storage and gsutil")
    folder, port = gcloud.folder, https_server.url.rpartition(":")[2]
    (folder / "train.jsonl").write_text("{}\n")
    shutil.copy(https_server.home / "certs" / "ca.pem", folder)
    (folder / "sintonia.boto").write_text(boto_file.replace("8443", port))
    token = by_gcloud.replace("AUTH_DISABLE_CREDENTIALS=true", "AUTH_ACCESS_TOKEN_FILE=token")
    token = token.replace("CORE_PROJECT=local", f"CORE_PROJECT={PROJECT}").replace(
        "http://127.0.0.1:8080", signed_in.url
    )
    shell = Tool(("bash", "-euc"), {}, folder)
    assert shell(f"{by_gsutil}gsutil -m -q rm -r gs://my-data").count(b"gs://my-data/train.jsonl") == 1
    assert shell(f"{token}gcloud -q storage rm -r gs://my-data").count(b"gs://my-data/train.jsonl") == 1


def killed_and_repeated(relay: Relay, tool: Tool, *arguments: str) -> int:
    """Run a command that is killed in its middle, then again; the bytes it sent then."""
    process = tool.start(*arguments)
    relay.when_sent = (LARGE // 2, lambda: os.killpg(process.pid, signal.SIGKILL))
    process.communicate(timeout=PATIENCE)
    assert process.returncode == -9
    relay.cut()
    before = relay.sent
    tool(*arguments)
    return relay.sent - before
