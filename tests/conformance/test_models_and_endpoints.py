"""Models, endpoints and operations after tuning, by plain requests: who changes what, and what everybody says then."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from server import LOCATION, JsonObject, Server
from sintonia.cli.program import app

V1, BETA = f"/v1/{LOCATION}", f"/v1beta1/{LOCATION}"


class Tuned:
    """A finished job with two checkpoints, and what it left."""

    def __init__(self, server: Server, **asked: Any) -> None:
        self.server = server
        body = {
            "baseModel": "tiny",
            "supervisedTuningSpec": {
                "trainingDatasetUri": "gs://my-data/train.jsonl",
                "hyperParameters": {"epochCount": 2, "learningRateMultiplier": 5},
            },
            "tunedModelDisplayName": "first",
            "description": "of tickets",
            "labels": {"team": "search"},
            **asked,
        }
        job = server.finished_job(server.call("POST", f"{V1}/tuningJobs", body)["name"])
        assert job["state"] == "JOB_STATE_SUCCEEDED", job
        self.job_name: str = job["name"]
        self.versioned: str = job["tunedModel"]["model"]
        self.model: str = self.versioned.partition("@")[0]
        self.endpoints: list[str] = [item["endpoint"] for item in job["tunedModel"]["checkpoints"]]

    def get(self, name: str | None = None) -> JsonObject:
        return self.server.call("GET", f"/v1/{name or self.model}")

    def tuned_model(self) -> JsonObject:
        told: JsonObject = self.server.job(self.job_name)["tunedModel"]
        return told

    def undeploy(self, endpoint: str) -> JsonObject:
        deployed = self.get(endpoint)["deployedModels"][0]["id"]
        return self.server.call("POST", f"/v1/{endpoint}:undeployModel", {"deployedModelId": deployed})

    def ask(self, target: str) -> str:
        return self.server.generate(target, "say ana 3", maxOutputTokens=4)


@pytest.fixture(scope="module")
def tuned(server: Server) -> Tuned:
    return Tuned(server)


@pytest.fixture
def other(server: Server) -> Tuned:
    return Tuned(server, tunedModelDisplayName="other")


def loaded(server: Server) -> list[str]:
    """The adapters that the engine has in memory."""
    command = server.engines()[0].cmdline()
    transport = httpx.HTTPTransport(uds=command[command.index("--uds") + 1])
    with httpx.Client(transport=transport, base_url="http://engine") as client:
        return [item["id"] for item in client.get("/v1/models").json()["data"]]


def refused(server: Server, method: str, path: str, body: Any = None) -> tuple[str, str]:
    """Status and message."""
    response = server.request(method, path, json=body) if body is not None else server.request(method, path)
    assert response.status_code >= 400, response.text
    error = response.json()["error"]
    return error["status"], error["message"]


def test_an_update_without_a_mask_changes_what_it_has(server: Server, tuned: Tuned) -> None:
    before = tuned.get()
    after = server.call("PATCH", f"{BETA}/models/{tuned.model.rpartition('/')[2]}", {"displayName": "renamed"})
    assert after["displayName"] == "renamed"
    assert after["description"] == "of tickets"
    assert after["updateTime"] > before["updateTime"]
    assert after["etag"] != before["etag"]
    assert tuned.get() == after
    listed = server.call("GET", f"{V1}/models", params={"filter": 'display_name="renamed"'})["models"]
    assert [item["name"] for item in listed] == [tuned.model]
    # A client may send back all that it was sent, with one thing changed.
    again = server.call("PATCH", f"/v1/{tuned.model}", {**after, "displayName": "first"})
    assert again["displayName"] == "first"


@pytest.mark.parametrize(
    "spelling", ["description", "description,versionDescription", "description,version_description"]
)
def test_an_update_by_mask_changes_only_what_the_mask_names(server: Server, tuned: Tuned, spelling: str) -> None:
    body = {"description": f"by {spelling}", "versionDescription": "v", "displayName": "not this one"}
    after = server.call("PATCH", f"/v1/{tuned.model}", body, params={"updateMask": spelling})
    assert after["description"] == f"by {spelling}"
    assert after["displayName"] == "first"
    assert after.get("versionDescription") == ("v" if "ersion" in spelling else None)
    cleared = server.call("PATCH", f"/v1/{tuned.model}", {}, params={"update_mask": spelling})
    assert "description" not in cleared
    assert "versionDescription" not in cleared


def test_a_star_replaces_all_that_can_be_changed(server: Server, tuned: Tuned) -> None:
    server.call("PATCH", f"/v1/{tuned.model}", {"description": "x", "defaultCheckpointId": "1"})
    after = server.call(
        "PATCH", f"/v1/{tuned.model}", {"displayName": "first", "labels": {"a": "b"}}, params={"updateMask": "*"}
    )
    assert "description" not in after
    assert after["defaultCheckpointId"] == "2"
    # The SDKs find tuned models by the server's own labels, which nobody takes away.
    ours = {"tune-type": "sft", "google-vertex-llm-tuning-base-model-id": "tiny"}
    assert after["labels"] == {"a": "b", **ours}
    assert server.call("PATCH", f"/v1/{tuned.model}", {}, params={"updateMask": "labels"})["labels"] == ours


def test_the_default_checkpoint_answers_by_the_models_name_and_is_the_jobs_endpoint(
    server: Server, tuned: Tuned
) -> None:
    first, last = tuned.endpoints
    assert tuned.tuned_model()["endpoint"] == last
    said = {endpoint: tuned.ask(endpoint) for endpoint in tuned.endpoints}
    after = server.call("PATCH", f"/v1beta1/{tuned.versioned}", {"defaultCheckpointId": "1"})
    assert after["name"] == tuned.versioned
    assert after["defaultCheckpointId"] == "1"
    assert tuned.tuned_model()["endpoint"] == first
    assert tuned.tuned_model()["model"] == tuned.versioned
    assert tuned.ask(tuned.model) == tuned.ask(tuned.versioned) == said[first]
    cleared = server.call("PATCH", f"/v1/{tuned.model}", {"default_checkpoint_id": ""})
    assert cleared["defaultCheckpointId"] == "2"
    assert tuned.tuned_model()["endpoint"] == last
    assert tuned.ask(tuned.model) == said[last]


def test_what_cannot_be_updated_is_named(server: Server, tuned: Tuned) -> None:
    path = f"/v1/{tuned.model}"
    before = tuned.get()
    for body, query, field in (
        ({"artifactUri": "gs://x/y"}, "", "model.artifact_uri"),
        ({"encryptionSpec": {"kmsKeyName": "k"}}, "", "model.encryption_spec"),
        ({}, "?updateMask=createTime", "model.create_time"),
        ({}, "?updateMask=colour", "colour"),
        ({"displayName": ""}, "", "display_name"),
        ({}, "?updateMask=displayName", "display_name"),
        ({"displayName": "x" * 129}, "", "display_name"),
        ({"labels": {"Bad": "x"}}, "", "Bad"),
        ({"defaultCheckpointId": "9"}, "", "no checkpoint '9'; it has: 1, 2"),
        ({"fooBar": 1}, "", "Unknown name \"fooBar\" at 'model'"),
        ([], "", "Root element must be a message"),
    ):
        status, message = refused(server, "PATCH", path + query, body)
        assert status == "INVALID_ARGUMENT", message
        assert field in message
    status, message = refused(server, "PATCH", path, {"etag": "0", "displayName": "x"})
    assert status == "ABORTED"
    assert before["etag"] in message
    assert refused(server, "PATCH", f"{path}@7", {"displayName": "x"})[0] == "NOT_FOUND"
    assert tuned.get() == before


def test_versions_checkpoints_and_aliases(server: Server, tuned: Tuned) -> None:
    page = server.call("GET", f"/v1/{tuned.model}:listVersions")
    assert [item["name"] for item in page["models"]] == [tuned.versioned]
    assert page["models"][0]["versionAliases"] == ["default"]
    for wanted, found in (("version_id=1", [tuned.versioned]), ("version_id!=1", [])):
        listed = server.call("GET", f"/v1/{tuned.model}:listVersions", params={"filter": wanted})
        assert [item["name"] for item in listed.get("models", [])] == found
    first = server.call("GET", f"/v1beta1/{tuned.model}:listCheckpoints", params={"pageSize": "1"})
    assert [item["checkpointId"] for item in first["checkpoints"]] == ["1"]
    rest = server.call("GET", f"/v1/{tuned.model}:listCheckpoints", params={"pageToken": first["nextPageToken"]})
    assert rest == {"checkpoints": [{"checkpointId": "2", "epoch": "2", "step": "6"}]}

    merge = f"/v1/{tuned.versioned}:mergeVersionAliases"
    assert server.call("POST", merge, {"versionAliases": ["golden", "a1"]})["versionAliases"] == [
        "a1",
        "default",
        "golden",
    ]
    assert server.call("GET", f"/v1/{tuned.model}%40golden")["name"] == tuned.versioned
    assert tuned.ask(f"{tuned.model}@golden") == tuned.ask(tuned.model)
    assert server.call("POST", merge, {"version_aliases": ["-a1", "-golden"]})["versionAliases"] == ["default"]
    assert refused(server, "GET", f"/v1/{tuned.model}@golden")[0] == "NOT_FOUND"
    for name, aliases in (
        (tuned.versioned, ["-default"]),
        (tuned.versioned, ["Golden"]),
        (tuned.versioned, ["2"]),
        (tuned.versioned, []),
        (tuned.model, ["golden"]),
    ):
        status, message = refused(server, "POST", f"/v1/{name}:mergeVersionAliases", {"versionAliases": aliases})
        assert status == "INVALID_ARGUMENT", message
    status, message = refused(server, "DELETE", f"/v1/{tuned.versioned}:deleteVersion")
    assert (status, "only version" in message) == ("FAILED_PRECONDITION", True)


def test_an_endpoint_is_updated(server: Server, tuned: Tuned) -> None:
    endpoint = tuned.endpoints[0]
    before = tuned.get(endpoint)
    after = server.call("PATCH", f"/v1/{endpoint}", {"displayName": "mine", "description": "d", "labels": {"a": "b"}})
    assert (after["displayName"], after["description"], after["labels"]) == ("mine", "d", {"a": "b"})
    assert (after["deployedModels"], after["trafficSplit"]) == (before["deployedModels"], before["trafficSplit"])
    whole = {**after, "displayName": "by mask"}
    mask = {"updateMask": "display_name,traffic_split"}
    assert server.call("PATCH", f"/v1/{endpoint}", whole, params=mask)["displayName"] == "by mask"
    for body, field in (
        ({"trafficSplit": {"0": 100}}, "traffic_split"),
        ({"network": "projects/1/global/networks/n"}, "endpoint.network"),
        ({"labels": {"Bad": ""}}, "Bad"),
    ):
        status, message = refused(server, "PATCH", f"/v1/{endpoint}", body)
        assert status == "INVALID_ARGUMENT"
        assert field in message
    assert refused(server, "PATCH", f"/v1/{endpoint}", {"etag": "0", "displayName": "x"})[0] == "ABORTED"


def test_undeployed_empty_and_deployed_again(server: Server, tuned: Tuned) -> None:
    first, last = tuned.endpoints
    said = {endpoint: tuned.ask(endpoint) for endpoint in tuned.endpoints}
    adapter = f"{tuned.job_name.rpartition('/')[2]}-1"
    assert adapter in loaded(server)
    operation = tuned.undeploy(first)
    assert adapter not in loaded(server)
    assert operation["done"] is True
    assert operation["metadata"]["@type"].endswith(".v1.UndeployModelOperationMetadata")
    assert operation["response"] == {"@type": "type.googleapis.com/google.cloud.aiplatform.v1.UndeployModelResponse"}
    empty = tuned.get(first)
    assert "deployedModels" not in empty
    assert "trafficSplit" not in empty
    status, message = refused(server, "POST", f"/v1/{first}:generateContent", {"contents": [{"parts": {"text": "x"}}]})
    assert (status, "doesn't have traffic_split" in message) == ("FAILED_PRECONDITION", True)
    assert [item["endpoint"] for item in tuned.get()["deployedModels"]] == [last]
    assert [item["endpoint"] for item in tuned.tuned_model()["checkpoints"]] == ["", last]

    # The last checkpoint at the first one's endpoint, as a client with machines in mind would deploy it.
    deploy = f"/v1beta1/{first}:deployModel"
    deployed_model = {
        "model": tuned.versioned,
        "displayName": "again",
        "dedicatedResources": {"machineSpec": {"machineType": "n1-standard-4"}, "minReplicaCount": 1},
    }
    operation = server.call("POST", deploy, {"deployedModel": deployed_model, "trafficSplit": {"0": 100}})
    deployed = operation["response"]["deployedModel"]
    assert operation["response"]["@type"].endswith(".v1beta1.DeployModelResponse")
    assert (deployed["checkpointId"], deployed["model"], deployed["modelVersionId"]) == ("2", tuned.model, "1")
    assert tuned.get(first)["trafficSplit"] == {deployed["id"]: 100}
    assert tuned.ask(first) == said[last]
    status, message = refused(server, "POST", deploy, {"deployedModel": deployed_model})
    assert (status, "there can be only one" in message) == ("FAILED_PRECONDITION", True)

    tuned.undeploy(first)
    server.call("POST", deploy, {"deployedModel": {"model": tuned.model, "checkpointId": "1"}})
    assert tuned.ask(first) == said[first]
    assert [item["endpoint"] for item in tuned.tuned_model()["checkpoints"]] == tuned.endpoints
    for body, status in (
        ({}, "INVALID_ARGUMENT"),
        ({"deployedModel": {"model": "tiny"}}, "INVALID_ARGUMENT"),
        ({"deployedModel": {"model": f"{LOCATION}/models/5"}}, "NOT_FOUND"),
        ({"deployedModel": {"model": tuned.model, "checkpointId": "9"}}, "INVALID_ARGUMENT"),
        ({"deployedModel": {"model": tuned.model, "id": "x"}}, "INVALID_ARGUMENT"),
        ({"deployedModel": {"model": tuned.model}, "trafficSplit": {"0": 50, "7": 50}}, "INVALID_ARGUMENT"),
        ({"deployedModel": {"model": tuned.model, "serviceAccount": "me"}}, "FAILED_PRECONDITION"),
    ):
        assert refused(server, "POST", deploy, body)[0] == status, body
    assert refused(server, "POST", f"/v1/{first}:undeployModel", {"deployedModelId": "5"})[0] == "NOT_FOUND"
    assert refused(server, "POST", f"/v1/{first}:undeployModel")[0] == "INVALID_ARGUMENT"


def test_an_endpoint_of_ones_own(server: Server, tuned: Tuned) -> None:
    operation = server.call("POST", f"{V1}/endpoints", {"displayName": "own", "labels": {"a": "b"}})
    made = operation["response"]
    assert made["@type"] == "type.googleapis.com/google.cloud.aiplatform.v1.Endpoint"
    assert tuned.get(made["name"])["displayName"] == "own"
    server.call("POST", f"/v1/{made['name']}:deployModel", {"deployedModel": {"model": tuned.model}})
    assert tuned.ask(made["name"]) == tuned.ask(tuned.model)
    assert made["name"] in [item["endpoint"] for item in tuned.get()["deployedModels"]]
    status, message = refused(server, "DELETE", f"/v1/{made['name']}")
    assert (status, "deployed or being-deployed" in message) == ("FAILED_PRECONDITION", True)
    gone = server.call("DELETE", f"/v1/{made['name']}?force=true")
    assert gone["response"] == {"@type": "type.googleapis.com/google.protobuf.Empty"}
    assert refused(server, "GET", f"/v1/{made['name']}")[0] == "NOT_FOUND"
    assert [item["endpoint"] for item in tuned.get()["deployedModels"]] == tuned.endpoints

    chosen = server.call("POST", f"{V1}/endpoints?endpointId=77", {"displayName": "chosen"})["response"]["name"]
    assert chosen == f"{LOCATION}/endpoints/77"
    for query, body, status in (
        ("?endpoint_id=77", {"displayName": "x"}, "ALREADY_EXISTS"),
        ("?endpointId=mine", {"displayName": "x"}, "INVALID_ARGUMENT"),
        ("", {"displayName": "x", "network": "n"}, "FAILED_PRECONDITION"),
        ("", {"displayName": "x", "encryptionSpec": {"kmsKeyName": "k"}}, "FAILED_PRECONDITION"),
        ("", {"displayName": "x", "trafficSplit": {"1": 100}}, "INVALID_ARGUMENT"),
        ("", {"displayName": "x", "fooBar": 1}, "INVALID_ARGUMENT"),
    ):
        assert refused(server, "POST", f"{V1}/endpoints{query}", body)[0] == status
    server.call("DELETE", f"/v1/{chosen}")


def test_a_model_is_deleted_when_it_is_deployed_nowhere(server: Server, other: Tuned) -> None:
    status, message = refused(server, "DELETE", f"/v1/{other.versioned}")
    assert status == "FAILED_PRECONDITION"
    assert all(endpoint in message for endpoint in other.endpoints)
    first, last = other.endpoints
    server.call("DELETE", f"/v1/{first}?force=true")
    other.undeploy(last)
    assert other.ask(other.model)  # by its name it answers, deployed or not
    told = other.tuned_model()
    assert ("endpoint" in told, told["model"]) == (False, other.versioned)
    operation = server.call("DELETE", f"/v1beta1/{other.versioned}")
    assert operation["name"].startswith(f"{other.model}/operations/")
    assert (
        operation["metadata"]["@type"] == "type.googleapis.com/google.cloud.aiplatform.v1beta1.DeleteOperationMetadata"
    )
    assert refused(server, "GET", f"/v1/{other.model}")[0] == "NOT_FOUND"
    assert other.model not in [item["name"] for item in server.call("GET", f"{V1}/models")["models"]]
    job = server.job(other.job_name)
    assert job["state"] == "JOB_STATE_SUCCEEDED"
    assert "model" not in job["tunedModel"]
    assert [item["checkpointId"] for item in job["tunedModel"]["checkpoints"]] == ["1", "2"]
    assert not server.run(other.job_name).checkpoints.exists()
    server.call("DELETE", f"/v1/{last}")


def test_operations_everywhere_they_are_polled(server: Server, tuned: Tuned) -> None:
    made = server.call("POST", f"{BETA}/endpoints", {"displayName": "for operations"})
    name, endpoint = made["name"], made["response"]["name"]
    assert name.startswith(f"{endpoint}/operations/")
    number = name.rpartition("/")[2]
    in_v1 = server.call("GET", f"/v1/{name}")
    assert in_v1["response"]["@type"] == "type.googleapis.com/google.cloud.aiplatform.v1.Endpoint"
    assert in_v1["metadata"]["@type"].endswith(".v1.CreateEndpointOperationMetadata")
    for path in (
        f"/v1beta1/{name}",
        f"/v1beta1/{LOCATION}/operations/{number}",
        f"/ui/{name}",
        f"/ui/{LOCATION}/operations/{number}",
    ):
        assert server.call("GET", path) == made, path
        assert server.call("POST", f"{path}:wait", {"timeout": "1s"}) == made
        assert server.call("POST", f"{path}:cancel") == {}
    for place in (f"/v1beta1/{endpoint}", f"/ui/{endpoint}"):
        assert server.call("GET", f"{place}/operations") == {"operations": [made]}
    newest = server.call("GET", f"{BETA}/operations", params={"pageSize": "1"})
    assert newest["operations"] == [made]
    assert newest["nextPageToken"]
    other = f"{tuned.endpoints[0]}/operations/{number}"
    for path in (f"/v1/{other}", f"/v1/{LOCATION}/tuningJobs/7/operations/{number}", f"{V1}/operations/x"):
        assert refused(server, "GET", path)[0] == "NOT_FOUND"
    gone = server.call("DELETE", f"/v1/{endpoint}")
    assert server.call("GET", f"/v1/{gone['name']}") == gone
    assert server.call("DELETE", f"/ui/{name}") == {}
    assert refused(server, "DELETE", f"/v1/{name}")[0] == "NOT_FOUND"
    assert server.call("GET", f"/v1/{LOCATION}/tuningJobs/7/operations") == {"operations": []}


def test_the_command_line_does_the_same(server: Server, tuned: Tuned) -> None:
    def run(*arguments: str) -> str:
        done = CliRunner().invoke(app, ["--url", server.url, "--project", "p", *arguments])
        assert done.exit_code == 0, done.output
        return done.stdout

    number = tuned.model.rpartition("/")[2]
    assert "default" in run("models", "versions", number)
    changed = run("models", "update", number, "--name", "by hand", "--description", "d", "--default-checkpoint", "1")
    assert tuned.model in changed
    assert "by hand" in run("models", "describe", f"{number}@1")
    assert tuned.get()["defaultCheckpointId"] == "1"
    run("models", "update", number, "--description", "")
    assert "description" not in tuned.get()

    own = server.call("POST", f"{V1}/endpoints", {"displayName": "own"})["response"]["name"]
    assert "checkpoint 2" in run("endpoints", "deploy", own, number, "--checkpoint", "2")
    assert json.loads(run("endpoints", "undeploy", own.rpartition("/")[2], "--json"))["done"] is True
    assert refused(server, "POST", f"/v1/{own}:generateContent", {"contents": [{"parts": {"text": "x"}}]})
    run("endpoints", "delete", own)
    again = CliRunner().invoke(app, ["--url", server.url, "--project", "p", "endpoints", "undeploy", own])
    assert (again.exit_code, "NOT_FOUND" in again.stderr) == (1, True)

    whole = CliRunner().invoke(app, ["--url", server.url, "--project", "p", "models", "delete", number])
    assert (whole.exit_code, "is deployed" in whole.stderr) == (1, True)
    assert "deleted" in run("models", "delete", number, "--force")
    for name in (tuned.model, *tuned.endpoints):
        assert refused(server, "GET", f"/v1/{name}")[0] == "NOT_FOUND"
