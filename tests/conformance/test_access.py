"""Who may do what: every route, by every role, in a project of one's own and in another's."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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
OPEN = {"/healthz", "/docs/style.css", "/sintonia/v1/sessions"}
# About no project: whoever has a role anywhere may read these.
COMMON = re.compile(
    r"/readyz|/docs|/openapi\.json|/sintonia/v1/(me|baseModels|sessions/current)|/batch/storage/v1"
    r"|/v1(beta1)?/publishers/\{publisher\}/models(/\{\w+\}(:(stream)?[gG]enerateContent|:(count|compute)Tokens)?)?"
)
# What POST does without changing anything.
ASKING = re.compile(
    r":(generateContent|streamGenerateContent|countTokens|computeTokens|exportTensorboardTimeSeries|wait)$"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, tiny_model_dir: Path) -> Iterator[SignedInServer]:
    server = SignedInServer(tmp_path_factory.mktemp("access"), base_models={"tiny": tiny_model_dir})
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
        route = context.original_route
        if isinstance(route, GatedRoute):
            found += [(method, context.path) for method in sorted(context.methods)]
        else:  # pages for browsers, which ask for what they show by the API
            assert re.fullmatch("/|/console(/.*)?", context.path), f"{context.path} goes round the gate"
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


def test_each_way_to_say_a_token(server: SignedInServer) -> None:
    token = server.token(**{OWN: Role.VIEWER})
    jobs = f"/v1/projects/{OWN}/locations/us-central1/tuningJobs"
    ways: list[dict[str, Any]] = [
        {"headers": {"authorization": f"Bearer {token}"}},
        {"headers": {"authorization": f"bearer   {token}"}},
        {"headers": {"x-goog-api-key": token}},
        {"params": {"key": token}},
        {"params": {"key": token}, "headers": {"x-goog-api-key": token, "authorization": f"Bearer {token}"}},
    ]
    for way in ways:
        assert server.ask("GET", jobs, **way).status_code == 200, way
    for way in [
        {"headers": {"authorization": token}},
        {"headers": {"authorization": f"Basic {token}"}},
        {"headers": {"authorization": "Bearer"}},
        {"headers": {"x-api-key": token}},
        {"params": {"access_token": token}},
        {"params": {"key": token}, "headers": {"authorization": "Bearer anonymous"}},
        {"params": [("key", token), ("key", "x")]},
        {"headers": [("authorization", f"Bearer {token}"), ("authorization", f"Basic {token}")]},
    ]:
        headers = httpx.Headers(way.pop("headers", {}))
        headers["x-forwarded-for"] = f"10.99.0.{next(_numbers) % 250}"
        assert server.http.get(server.url + jobs, headers=headers, **way).status_code == 401, way


def test_an_argument_more_does_not_open_another_project(server: SignedInServer) -> None:
    token = server.token(**{OWN: Role.ADMIN})
    for query in (f"project={OWN}&project={FOREIGN}", f"project={FOREIGN}&project={OWN}"):
        for method in ("GET", "POST"):
            response = server.ask(method, f"/storage/v1/b?{query}", token, json={"name": "mine"})
            assert response.status_code == 400, response.text
    bucket = f"/storage/v1/b/{OWN}-bucket/o/rows.jsonl"
    for target in (f"{FOREIGN}-bucket", f"{FOREIGN}-bucket%2Fo%2Fx", "cloud-samples-data", "nowhere"):
        for verb in ("copyTo", "rewriteTo"):
            path = f"{bucket}/{verb}/b/{target}/o/stolen"
            assert server.ask("POST", path, token, json={}).status_code in (403, 404), path
    for path in (
        f"/storage/v1/b/{FOREIGN}-bucket/o/rows.jsonl/copyTo/b/{OWN}-bucket/o/stolen",
        f"/storage/v1/b/{FOREIGN}-bucket/o/rows.jsonl/rewriteTo/b/{OWN}-bucket/o/stolen",
    ):
        assert server.ask("POST", path, token, json={}).status_code == 403, path
    assert "stolen" not in server.call("GET", f"/storage/v1/b/{OWN}-bucket/o").get("items", [])


def test_built_in_samples_are_for_all_to_read_and_nobody_to_write(server: SignedInServer) -> None:
    token = server.token(**{OWN: Role.ADMIN})
    samples = "/storage/v1/b/cloud-samples-data"
    assert server.ask("GET", samples + "/o", token).status_code == 200
    assert server.ask("DELETE", samples, token).status_code == 403
    assert server.ask("POST", f"/upload{samples}/o?uploadType=media&name=x", token).status_code == 403
    assert server.ask("GET", samples + "/o").status_code == 401
    assert server.ask("GET", "/storage/v1/b/there-is-none", token).status_code == 404


def test_an_upload_goes_on_for_those_only_who_may_write_there(server: SignedInServer) -> None:
    mine, theirs = server.token(**{OWN: Role.TUNER}), server.token(**{FOREIGN: Role.TUNER})
    begun = server.ask(
        "POST", f"/upload/storage/v1/b/{OWN}-bucket/o?uploadType=resumable&name=big", mine, json={}
    ).headers["location"]  # fmt: skip
    path = begun.partition(server.url)[2] or begun
    for token, address, code in (
        (theirs, path, 403),
        (None, path, 401),
        (theirs, path.replace(f"/{OWN}-bucket/", f"/{FOREIGN}-bucket/"), 404),
        (mine, path, 200),
    ):
        assert server.ask("PUT", address, token, content=b"bytes").status_code == code, address


def test_names_without_a_project_tell_strangers_nothing(server: SignedInServer) -> None:
    token, root = server.token(**{OWN: Role.ADMIN}), server.token(**{"*": Role.VIEWER})
    for collection in ("endpoints", "models"):
        foreign, absent = (
            server.ask("POST", f"/v1/{collection}/{number}:countTokens", token, json={}).json()["error"]
            for number in (NUMBERS[FOREIGN], "999")
        )
        assert foreign["code"] == absent["code"] == 403
        assert foreign["message"].replace(NUMBERS[FOREIGN], "999") == absent["message"]
        assert server.ask("POST", f"/v1/{collection}/999:countTokens", root, json={}).status_code == 404


@pytest.mark.parametrize("inner", ["", "own", "key"])
def test_each_request_of_a_batch_is_let_in_by_itself(server: SignedInServer, inner: str) -> None:
    """By the credential around it, or by its own."""
    mine, theirs = server.token(**{OWN: Role.VIEWER}), server.token(**{FOREIGN: Role.VIEWER})

    def part(bucket: str, credential: str) -> str:
        key, header = "", ""
        if inner == "key":
            key = f"?key={credential}"
        elif inner:
            header = f"Authorization: Bearer {credential}\r\n"
        request = f"GET /storage/v1/b/{bucket}-bucket/o{key} HTTP/1.1\r\n{header}\r\n"
        return f"--x\r\nContent-Type: application/http\r\n\r\n{request}\r\n"

    body = part(OWN, theirs) + part(FOREIGN, theirs) + "--x--\r\n"
    for outer in ({"headers": {"authorization": f"Bearer {mine}"}}, {"params": {"key": mine}}):
        headers = {"content-type": "multipart/mixed; boundary=x"} | outer.pop("headers", {})
        answer = server.ask("POST", "/batch/storage/v1", content=body, headers=headers, **outer)
        assert re.findall(r"HTTP/1.1 (\d+)", answer.text) == (["403", "200"] if inner else ["200", "403"]), answer.text
    assert server.ask("POST", "/batch/storage/v1", content=body, headers=headers).status_code == 401


def test_what_is_anothers_is_not_there_under_a_project_of_ones_own(server: SignedInServer) -> None:
    """Numbers are given to all projects together, and so must each be looked for in its own."""
    token = server.token(**{OWN: Role.ADMIN})
    validations = "/sintonia/v1/projects/{}/locations/us-central1/datasetValidations"
    made = server.call(
        "POST", validations.format(FOREIGN), {"datasetUri": f"gs://{FOREIGN}-bucket/rows.jsonl", "baseModel": "tiny"}
    )
    done = server.call("GET", f"/v1/projects/{FOREIGN}/locations/us-central1/operations")["operations"][0]["name"]
    number, own = NUMBERS[FOREIGN], f"projects/{OWN}/locations/us-central1"
    validation = f"/sintonia/v1/{own}/datasetValidations/{made['name'].rpartition('/')[2]}"
    store, board = f"/v1/{own}/metadataStores/default", f"/v1/{own}/tensorboards/default"
    experiment = f"tuning-experiment-{number}"
    paths = [
        *(f"/v1/{own}/{kind}/{number}" for kind in ("tuningJobs", "models", "endpoints")),
        *(
            f"/sintonia/v1/{own}/tuningJobs/{number}/{part}"
            for part in ("progress", "metrics", "log", "dataset", "datasetReport", "datasetRows")
        ),
        f"/v1/{own}/models/{number}:listVersions", f"/v1/{own}/models/{number}:listCheckpoints",
        f"/v1/{own}/operations/{done.rpartition('/')[2]}", f"/ui/{own}/operations/{done.rpartition('/')[2]}",
        f"{store}/contexts/{experiment}", f"{store}/artifacts/tuning-experiment-run-{number}",
        f"{board}/experiments/{experiment}", f"{board}/experiments/{experiment}/runs",
        validation, f"{validation}/datasetReport", f"{validation}/datasetRows",
    ]  # fmt: skip
    for path in paths:
        assert server.ask("GET", path, token).status_code == 404, path
    for path in (f"/v1/{own}/models/{number}", f"/v1/{own}/endpoints/{number}", validation):
        assert server.ask("DELETE", path, token).status_code == 404, path
    for path in (f"tuningJobs/{number}:cancel", f"endpoints/{number}:countTokens", f"models/{number}:generateContent"):
        body = {"contents": {"parts": {"text": "x"}}} if "cancel" not in path else {}
        assert server.ask("POST", f"/v1/{own}/{path}", token, json=body).status_code == 404, path
    for kind in ("tuningJobs", "models", "endpoints", "operations"):
        assert FOREIGN not in server.ask("GET", f"/v1/{own}/{kind}", token).text
    assert FOREIGN not in server.ask("GET", validations.format(OWN), token).text
    assert server.ask("GET", f"/storage/v1/b?project={OWN}", token).text.count("-bucket/") == 0
    assert f"{FOREIGN}-bucket" not in server.ask("GET", f"/storage/v1/b?project={OWN}", token).text


def test_bodies_cannot_name_what_is_anothers(server: SignedInServer) -> None:
    token = server.token(**{OWN: Role.ADMIN})
    own, foreign = (f"projects/{project}/locations/us-central1" for project in (OWN, FOREIGN))
    model, rows = f"{foreign}/models/{NUMBERS[FOREIGN]}", f"gs://{OWN}-bucket/rows.jsonl"
    theirs = f"gs://{FOREIGN}-bucket/rows.jsonl"
    series = f"{foreign}/tensorboards/default/experiments/x/runs/y/timeSeries/z"

    def job(train: str = rows, **more: Any) -> tuple[str, dict[str, Any]]:
        spec = {"trainingDatasetUri": train, **more.pop("spec", {})}
        return f"/v1/{own}/tuningJobs", {"baseModel": "tiny", "supervisedTuningSpec": spec, **more}

    asked = [
        job(baseModel=None, preTunedModel={"tunedModelName": model}),
        job(baseModel=model),
        job(theirs),
        job(spec={"validationDatasetUri": theirs}),
        job(outputUri=f"gs://{FOREIGN}-bucket/out"),
        (f"/v1/{own}/endpoints/{NUMBERS[OWN]}:deployModel", {"deployedModel": {"model": model}}),
        (f"/sintonia/v1/{own}/datasetValidations", {"datasetUri": theirs, "baseModel": "tiny"}),
        (
            f"/storage/v1/b/{OWN}-bucket/o/all/compose",
            {"sourceObjects": [{"name": f"../../{FOREIGN}-bucket/o/rows.jsonl"}]},
        ),
    ]
    for path, body in asked:
        response = server.ask("POST", path, token, json=body)
        assert response.status_code in (400, 403, 404), (path, body, response.text)
    path = f"/v1/{own}/tensorboards/default:batchRead?timeSeries={series}"
    assert server.ask("GET", path, token).status_code == 400
    # With a role there as well, a name must still be of the project that is asked.
    both = server.token(**{OWN: Role.ADMIN, FOREIGN: Role.ADMIN})
    assert server.ask("POST", *asked[0][:1], both, json=asked[0][1]).status_code == 400
    assert server.call("GET", f"/v1/{own}/tuningJobs").get("tuningJobs", []) == [
        server.call("GET", f"/v1/{own}/tuningJobs/{NUMBERS[OWN]}")
    ]


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
