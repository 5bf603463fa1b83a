"""Who may do what: every route, by every role, in a project of one's own and in another's."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fastapi.routing import iter_route_contexts

from rows import shouting_rows
from signed_in import SignedInServer
from sintonia.api.routing import GatedRoute
from sintonia.app import build
from sintonia.database import Database, Transaction, models, tuning_jobs
from sintonia.database.models import ModelRecord
from sintonia.database.tuning_jobs import JobRecord
from sintonia.resources.names import Parent
from sintonia.resources.serving import Model
from sintonia.resources.tuning import JobState, TuningJob, TuningJobState
from sintonia.services.access import Role
from sintonia.settings import Settings

OWN, FOREIGN = "own", "foreign"
OPEN = {"/healthz", "/docs/style.css"}
# About no project: whoever has a role anywhere may read these.
COMMON = re.compile(
    r"/readyz|/docs|/openapi\.json|/sintonia/v1/(me|baseModels)|/batch/storage/v1"
    r"|/v1(beta1)?/publishers/\{publisher\}/models(/\{\w+\}(:(stream)?[gG]enerateContent|:(count|compute)Tokens)?)?"
)
# What POST does without changing anything.
ASKING = re.compile(
    r":(generateContent|streamGenerateContent|countTokens|computeTokens|exportTensorboardTimeSeries|wait)$"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SignedInServer]:
    server = SignedInServer(tmp_path_factory.mktemp("access"), settings='grpc_port = 0\ngrpc_security = "plaintext"\n')
    asyncio.run(put_models(server.database))
    server.start()
    for project in (OWN, FOREIGN):
        server.call("POST", f"/storage/v1/b?project={project}", {"name": f"{project}-bucket"})
        server.call(
            "POST", f"/upload/storage/v1/b/{project}-bucket/o?uploadType=media&name=rows.jsonl",
            content="".join(json.dumps(row) + "\n" for row in shouting_rows(2)),
        )  # fmt: skip
        place = f"/v1/projects/{project}/locations/us-central1"
        server.call("POST", f"{place}/endpoints?endpointId={NUMBERS[project]}", {"displayName": "for all to see"})
    yield server
    server.stop()


NUMBERS = {OWN: "1001", FOREIGN: "2002"}


async def put_models(url: str) -> None:
    """A tuned model in each project, without the tuning; jobs and models have the project's number."""
    database = Database(url)

    async def work(tx: Transaction) -> None:
        done = TuningJobState.TUNING_JOB_STATE_POST_PROCESSING
        for project, said in NUMBERS.items():
            parent, number = Parent(project, "us-central1"), int(said)
            job = TuningJob(name=parent.tuning_job(number), state=JobState.JOB_STATE_SUCCEEDED)
            model = Model(name=parent.model(number), display_name=project)
            await tuning_jobs.insert(tx, JobRecord(number, parent, number, job, done, {}))
            await models.insert(tx, ModelRecord(number, 1, parent, number, number, "tiny", model))

    await database.write(work)
    await database.close()


def routes(home: Path) -> list[tuple[str, str]]:
    """Method and path of every route there is."""
    app = build(Settings(home=home, sign_in=True))
    found = []
    for context in iter_route_contexts(app.routes):
        assert isinstance(context.original_route, GatedRoute), f"{context.path} goes round the gate"
        found += [(method, context.path) for method in sorted(context.methods)]
    return found


def expected(method: str, path: str) -> Role | None:
    """The least role for a route; None if nobody has to sign in."""
    if path in OPEN:
        return None
    if "/projects/{project}/tokens" in path:
        return Role.ADMIN
    return Role.VIEWER if method in ("GET", "HEAD") or ASKING.search(path) or COMMON.fullmatch(path) else Role.TUNER


_numbers = itertools.count(1)


def call(server: SignedInServer, method: str, path: str, project: str, token: str | None) -> httpx.Response:
    """A request to a route about a project, from an address of its own: failures of one are limited."""
    express = re.fullmatch(r"/v1(beta1)?/(endpoints|models)/\{name\}:\w+", path)
    values = {
        "project": project, "location": "us-central1", "bucket": f"{project}-bucket", "publisher": "google",
        "target_bucket": f"{project}-bucket", "store": "default", "board": "default", "name": "rows.jsonl",
        "target_name": "other.jsonl",
    }  # fmt: skip
    if express:
        values["name"] = NUMBERS[project]
    concrete = re.sub(r"\{(\w+)(:path)?\}", lambda match: values.get(match[1], "7"), path)
    count = next(_numbers)
    return server.ask(
        method,
        concrete,
        token,
        params={"project": project} if path == "/storage/v1/b" else None,
        json={} if method != "GET" else None,
        headers={"x-forwarded-for": f"10.{count >> 16}.{count >> 8 & 255}.{count & 255}"},
    )


def refusal(response: httpx.Response) -> str:
    """The status of a refusal, which has the API's shape; empty if it was let in."""
    if response.status_code not in (401, 403):
        assert response.status_code < 500 or response.status_code == 501, response.text
        return ""
    if response.request.method == "HEAD":
        return {401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED"}[response.status_code]
    error = response.json()["error"]
    assert error["code"] == response.status_code
    assert error["message"]
    assert (response.status_code == 401) == ("www-authenticate" in response.headers)
    return str(error["status"])


def test_every_route_by_every_role(server: SignedInServer, tmp_path: Path) -> None:
    found = routes(tmp_path / "home")
    assert len(found) > 150
    roles: dict[str, tuple[Role | None, str | None]] = {
        "nobody": (None, None),
        "garbage": (None, "sin_000000000000_" + "x" * 43),
        "expired": (None, server.token(expired=True, **{"*": Role.ADMIN})),
        "revoked": (None, server.token(revoked=True, **{"*": Role.ADMIN})),
        **{role.name: (role, server.token(**{OWN: role})) for role in Role},
    }
    wrong = []
    # Refusals first, so that nothing is gone by what those who may do it do.
    for allowed in (False, True):
        for (method, path), (who, (role, token)), project in itertools.product(found, roles.items(), (OWN, FOREIGN)):
            least = expected(method, path)
            mine = project == OWN or COMMON.fullmatch(path)
            if least is None:
                should = ""
            elif role is None:
                should = "UNAUTHENTICATED"
            else:
                should = "" if mine and role >= least else "PERMISSION_DENIED"
            if (should == "") != allowed:
                continue
            response = call(server, method, path, project, token)
            if refusal(response) != should:
                wrong.append(f"{method} {path} in {project} by {who}: {response.status_code}, not {should or 'let in'}")
    assert not wrong, "\n".join(wrong)
