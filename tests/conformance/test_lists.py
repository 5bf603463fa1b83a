"""Lists on a real server, line by line of the API's filter grammar; and pages while jobs are created."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rows import shouting_rows
from server import LOCATION, Server, until

PARENT = "projects/lists/locations/us-central1"
JOBS = f"/v1/{PARENT}/tuningJobs"


def names(answer: dict[str, Any], key: str = "tuningJobs") -> list[str]:
    return [item["name"] for item in answer.get(key, [])]


def create(server: Server, name: str, **labels: str) -> str:
    body = {
        "baseModel": "gemini-1.0-pro-002",
        "supervisedTuningSpec": {
            "trainingDatasetUri": "gs://my-data/train.jsonl",
            "hyperParameters": {"epochCount": 1},
        },
        "tunedModelDisplayName": name,
        "labels": labels,
    }
    created: str = server.call("POST", JOBS, body)["name"]
    return created


@pytest.fixture(scope="module")
def jobs(server: Server) -> dict[str, str]:
    """One job that succeeds, and three that are cancelled at once."""
    made = {"first": create(server, "my_job_1", team="search")}
    for key, name, label in (("second", "my_job_2", "ads"), ("third", "other", "ads"), ("fourth", "My_job_4", "x")):
        made[key] = create(server, name, team=label)
        server.call("POST", f"/v1/{made[key]}:cancel")
    done = ("JOB_STATE_SUCCEEDED", "JOB_STATE_CANCELLED")
    until(lambda: all(server.job(name)["state"] in done for name in made.values()), what="their ends", server=server)
    return made


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('state="JOB_STATE_SUCCEEDED"', ["first"]),
        ('state!="JOB_STATE_SUCCEEDED"', ["fourth", "third", "second"]),
        ('display_name="my_job_1"', ["first"]),
        ('displayName!="my_job_1"', ["fourth", "third", "second"]),
        ('tuned_model_display_name:"my_job_*"', ["second", "first"]),
        ('NOT display_name="other"', ["fourth", "second", "first"]),
        ('NOT display_name="my_job"', ["fourth", "third", "second", "first"]),
        ('state="JOB_STATE_SUCCEEDED" AND display_name:"my_job_*"', ["first"]),
        ("labels.team=ads", ["third", "second"]),
        ("labels.team:*", ["fourth", "third", "second", "first"]),
        ("labels:nothing", []),
        ('create_time>"2020-01-01T00:00:00Z" AND create_time<"2999-01-01T00:00:00Z" AND labels.team=x', ["fourth"]),
        ('state="JOB_STATE_CANCELLED" AND display_name:"my_job_*"', ["second"]),
        ('baseModel="gemini-1.0-pro-002" AND (labels.team=search OR labels.team=x)', ["fourth", "first"]),
    ],
)
@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_filters(server: Server, jobs: dict[str, str], version: str, text: str, found: list[str]) -> None:
    answer = server.call("GET", f"/{version}/{PARENT}/tuningJobs", params={"filter": text})
    assert names(answer) == [jobs[key] for key in found]


@pytest.mark.parametrize(
    ("operator", "found"),
    [
        ("=", ["third"]),
        ("!=", ["fourth", "second", "first"]),
        ("<", ["second", "first"]),
        ("<=", ["third", "second", "first"]),
        (">", ["fourth"]),
        (">=", ["fourth", "third"]),
    ],
)
@pytest.mark.parametrize("field", ["create_time", "createTime"])
def test_jobs_are_found_by_the_very_time_they_tell(
    server: Server, jobs: dict[str, str], field: str, operator: str, found: list[str]
) -> None:
    moment = server.job(jobs["third"])["createTime"]
    asked = {"filter": f'{field}{operator}"{moment}" AND NOT labels.team=late'}
    assert names(server.call("GET", JOBS, params=asked)) == [jobs[key] for key in found]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{collection}={id}", True),
        ('display_name="my_job_1"', True),
        ('displayName="other"', False),
        ('display_name!="other"', True),
        ('displayName!="my_job_1"', False),
        ("labels.team=search", True),
        ("labels.team=ads", False),
        ("labels.team:*", True),
        ("labels:team", True),
        ("labels:nothing", False),
    ],
)
@pytest.mark.parametrize("collection", ["model", "endpoint"])
def test_filters_of_models_and_endpoints(
    server: Server, jobs: dict[str, str], collection: str, text: str, found: bool
) -> None:
    name = server.job(jobs["first"])["tunedModel"][collection].partition("@")[0]
    asked = {"filter": text.format(collection=collection, id=name.rsplit("/", 1)[-1])}
    listed = names(server.call("GET", f"/v1/{PARENT}/{collection}s", params=asked), f"{collection}s")
    assert listed == [name] * found


def test_models_and_endpoints_as_the_sdks_ask_for_them(server: Server, jobs: dict[str, str]) -> None:
    tuned = server.job(jobs["first"])["tunedModel"]
    models = server.call("GET", f"/v1beta1/{PARENT}/models", params={"filter": "labels.tune-type:*", "pageSize": "5"})
    assert [f"{name}@1" for name in names(models, "models")] == [tuned["model"]]
    number = tuned["endpoint"].rsplit("/", 1)[-1]
    for text in (f"endpoint={number}", 'baseModelName="gemini-1.0-pro-002"', "labels.team=search"):
        found = server.call("GET", f"/v1/{PARENT}/endpoints", params={"filter": text})
        assert names(found, "endpoints") == [tuned["endpoint"]], text


def test_pages_neither_skip_nor_repeat_while_jobs_are_created(server: Server, jobs: dict[str, str]) -> None:
    seen: list[str] = []
    token = ""
    while True:
        page = server.call("GET", JOBS, params={"pageSize": "1", "pageToken": token, "filter": "labels.team:*"})
        seen += names(page)
        token = page.get("nextPageToken", "")
        if not token:
            break
        late = create(server, "late", team="late")
        server.call("POST", f"/v1/{late}:cancel")
    assert seen == [jobs[key] for key in ("fourth", "third", "second", "first")]


def test_both_spellings_of_the_parameters(server: Server, jobs: dict[str, str]) -> None:
    camel = server.call("GET", JOBS, params={"pageSize": "2", "orderBy": "createTime"})
    snake = server.call("GET", JOBS, params={"page_size": "2", "order_by": "createTime"})
    assert camel == snake
    assert names(camel) == [jobs["first"], jobs["second"]]
    following = server.call(
        "GET", JOBS, params={"page_size": "2", "order_by": "createTime", "page_token": camel["nextPageToken"]}
    )
    assert names(following)[:2] == [jobs["third"], jobs["fourth"]]


def test_another_project_has_its_own_list(server: Server, jobs: dict[str, str]) -> None:
    assert not set(jobs.values()) & set(names(server.call("GET", f"/v1/{LOCATION}/tuningJobs")))


def test_parts_of_an_answer(server: Server, jobs: dict[str, str]) -> None:
    asked = {"fields": "tuningJobs(name,labels/team),nextPageToken", "pageSize": "1", "filter": "NOT labels.team=late"}
    short = server.call("GET", JOBS, params=asked)
    assert short == {
        "tuningJobs": [{"name": jobs["fourth"], "labels": {"team": "x"}}],
        "nextPageToken": short["nextPageToken"],
    }
    one = server.call("GET", f"/v1/{jobs['first']}", params={"$fields": "state,tunedModel.endpoint"})
    assert one.keys() == {"state", "tunedModel"}
    assert one["tunedModel"].keys() == {"endpoint"}
    question = {"contents": {"role": "user", "parts": {"text": "hi"}}, "generationConfig": {"maxOutputTokens": 2}}
    endpoint = one["tunedModel"]["endpoint"]
    asked = {"fields": "candidates/content/role"}
    answer = server.call("POST", f"/v1/{endpoint}:generateContent", question, params=asked)
    assert answer == {"candidates": [{"content": {"role": "model"}}]}
    pieces = server.call("POST", f"/v1/{endpoint}:streamGenerateContent", question, params=asked)
    assert {json.dumps(piece) for piece in pieces} == {json.dumps(answer)}


def test_a_wrong_part_is_refused_before_anything_is_done(server: Server, jobs: dict[str, str]) -> None:
    before = names(server.call("GET", JOBS))
    refused = server.request("POST", JOBS, json={"baseModel": "tiny"}, params={"fields": "name,colour"})
    assert refused.status_code == 400
    assert "Cannot find matching fields for path 'colour'" in refused.json()["error"]["message"]
    assert names(server.call("GET", JOBS)) == before


def test_read_masks(server: Server, jobs: dict[str, str]) -> None:
    for collection in ("models", "endpoints"):
        path = f"/v1/{PARENT}/{collection}"
        whole = server.call("GET", path)
        for mask in ("name,display_name,labels.team", "name,displayName,labels.team"):
            found = server.call("GET", path, params={"readMask": mask})[collection]
            assert found == [
                {"name": item["name"], "displayName": item["displayName"], "labels": {"team": item["labels"]["team"]}}
                for item in whole[collection]
            ]
        refused = server.request("GET", path, params={"read_mask": "colour"})
        assert "Error expanding 'read_mask' parameter" in refused.json()["error"]["message"]


def test_orders(server: Server, jobs: dict[str, str]) -> None:
    for order, found in (
        ("display_name", ["fourth", "first", "second", "third"]),
        ("displayName desc", ["third", "second", "first", "fourth"]),
        ("display_name, create_time desc", ["fourth", "first", "second", "third"]),
        ("create_time, display_name", ["first", "second", "third", "fourth"]),
    ):
        seen: list[str] = []
        asked = {"orderBy": order, "pageSize": "3", "filter": "NOT display_name=late"}
        while True:
            page = server.call("GET", JOBS, params=asked)
            seen += names(page)
            if "nextPageToken" not in page:
                break
            asked["pageToken"] = page["nextPageToken"]
        assert seen == [jobs[key] for key in found], order
    latest = server.call("GET", JOBS, params={"orderBy": "update_time desc", "fields": "tuningJobs/updateTime"})
    times = [job["updateTime"] for job in latest["tuningJobs"]]
    assert times == sorted(times, reverse=True)
    for collection in ("models", "endpoints"):
        for order in ("display_name", "update_time desc", "create_time"):
            assert server.call("GET", f"/v1/{PARENT}/{collection}", params={"orderBy": order})[collection]


SYSTEM = {
    "$alt": "json;enum-encoding=int", "alt": "json", "key": "k", "access_token": "t", "oauth_token": "t",
    "quotaUser": "me", "$.xgafv": "2", "upload_protocol": "raw", "uploadType": "media", "callback": "f",
    "X-Goog-Request-Reason": "test", "$prettyPrint": "true",
}  # fmt: skip


def test_system_parameters_are_let_through(server: Server, jobs: dict[str, str]) -> None:
    one = f"/v1/{jobs['first']}"
    assert server.request("GET", one, params=SYSTEM).text == server.request("GET", one).text


def test_pretty_print(server: Server, jobs: dict[str, str]) -> None:
    pretty = server.request("GET", f"/v1/{jobs['first']}", params={"prettyPrint": "true"})
    compact = server.request("GET", f"/v1/{jobs['first']}", params={"prettyPrint": "false"})
    assert compact.text.count("\n") == 1 < pretty.text.count("\n")
    assert compact.json() == pretty.json()
    assert compact.headers["content-type"] == pretty.headers["content-type"]


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", JOBS), ("POST", JOBS), ("GET", f"{JOBS}/1"), ("POST", f"{JOBS}/1:cancel"),
     ("POST", f"/v1/{PARENT}/endpoints/1:generateContent"), ("GET", "/sintonia/v1/baseModels")],
)  # fmt: skip
def test_other_parameters_are_refused(server: Server, method: str, path: str) -> None:
    refused = server.request(method, path, params={"foo": "1", "pageSise": "2"})
    lines = [
        f'Invalid JSON payload received. Unknown name "{name}": Cannot bind query parameter. '
        f"Field '{name}' could not be found in request message."
        for name in ("foo", "pageSise")
    ]
    assert refused.status_code == 400
    error = refused.json()["error"]
    assert (error["status"], error["message"].split("\n")) == ("INVALID_ARGUMENT", lines)
    assert error["details"][0]["fieldViolations"] == [{"description": line} for line in lines]


def test_buckets_show_parts_and_let_other_parameters_through(server: Server) -> None:
    for name in ("one.jsonl", "two.jsonl"):
        server.upload(f"gs://listed/{name}", shouting_rows(1))
    asked = {"fields": "items/name,nextPageToken", "projection": "noAcl", "prettyPrint": "false"}
    listed = server.request("GET", "/storage/v1/b/listed/o", params=asked)
    assert listed.json() == {"items": [{"name": "one.jsonl"}, {"name": "two.jsonl"}]}
    assert listed.text.count("\n") == 1
