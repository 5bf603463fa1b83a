"""How to bring about every error of ``docs/reference/errors.md`` that answers a request, by its condition there."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import oidc_provocations
import sign_in_provocations
import storage_provocations
import wire_provocations

from rows import shouting_rows
from server import LOCATION, Server, until

JOBS = f"/v1/{LOCATION}/tuningJobs"
MODELS = f"/v1/{LOCATION}/models"
BOARD = f"/v1/{LOCATION}/tensorboards/default"
TINY = f"/v1/{LOCATION}/publishers/google/models/tiny"
TRAIN = "gs://my-data/train.jsonl"
VALIDATIONS = f"/sintonia/v1/{LOCATION}/datasetValidations"

Provoke = Callable[[Server], httpx.Response]


def get(path: str, **options: Any) -> Provoke:
    return lambda server: server.request("GET", path, **options)


def post(path: str, body: Any = None, **options: Any) -> Provoke:
    if isinstance(body, (str, bytes)):
        return lambda server: server.request("POST", path, content=body, **options)
    return lambda server: server.request("POST", path, json=body if body is not None else {}, **options)


def create(
    spec: Any = None, *, base: Any = "tiny", train: str | None = TRAIN, hyper: Any = None, **job: Any
) -> Provoke:
    """tuningJobs.create with something wrong in it."""
    said = {"trainingDatasetUri": train, "hyperParameters": hyper, **(spec or {})}
    return post(JOBS, {"baseModel": base, "supervisedTuningSpec": said, **job})


def go_on(name: str, *, checkpoint: str = "1", base: str | None = None, hyper: Any = None) -> Provoke:
    """tuningJobs.create on a tuned model."""
    return create(base=base, hyper=hyper, preTunedModel={"tunedModelName": name, "checkpointId": checkpoint})


@cache
def tuned(server: Server) -> str:
    """The name of a tuned model."""
    job = server.finished_job(server.create_job("tiny", TRAIN, epochCount=1, adapterSize="ADAPTER_SIZE_FOUR")["name"])
    name: str = job["tunedModel"]["model"]
    return name


@cache
def tuned_twice(server: Server) -> tuple[str, str]:
    """The name of a tuned model of two versions, made by an alias, and that of the second one's job."""
    job = server.finished_job(server.create_job("moving", TRAIN, epochCount=1)["name"])
    model = job["tunedModel"]["model"]
    again = go_on(model, hyper={"epochCount": 1})(server).json()
    done = server.finished_job(again["name"])
    assert done["tunedModel"]["model"].endswith("@2"), done
    return model.partition("@")[0], done["name"]


def default_version(server: Server) -> httpx.Response:
    return server.request("DELETE", f"/v1/{tuned_twice(server)[0]}@default:deleteVersion")


def one_of_several(server: Server) -> httpx.Response:
    return server.request("DELETE", f"/v1/{tuned_twice(server)[0]}@2")


def files_gone(server: Server) -> httpx.Response:
    model, job = tuned_twice(server)
    shutil.rmtree(server.run(job).checkpoint("1"))
    return go_on(f"{model}@2")(server)


def alias_moved(server: Server) -> httpx.Response:
    """The alias means another base model from the next start on."""
    model, _ = tuned_twice(server)
    settings = server.home / "sintonia.toml"
    settings.write_text(settings.read_text().replace('"moving" = "tiny"', '"moving" = "narrow"'))
    server.terminate()
    server.start()
    return go_on(f"{model}@1")(server)


def at_model(method: str, path: str = "", body: Any = None) -> Provoke:
    """A request about a tuned model."""
    return lambda server: server.request(method, f"/v1/{tuned(server).partition('@')[0]}{path}", json=body)


def at_endpoint(method: str, verb: str = "", body: Any = None) -> Provoke:
    """A request about the endpoint where a tuned model is deployed."""

    def provoke(server: Server) -> httpx.Response:
        model = server.call("GET", f"/v1/{tuned(server)}")
        said = json.loads(json.dumps(body).replace("TUNED", tuned(server)))
        return server.request(method, f"/v1/{model['deployedModels'][0]['endpoint']}{verb}", json=said)

    return provoke


def at_empty_endpoint(query: str = "", verb: str = "", body: Any = None) -> Provoke:
    """A request about, or by the id of, an endpoint where nothing is deployed."""

    def provoke(server: Server) -> httpx.Response:
        path = f"/v1/{LOCATION}/endpoints"
        server.request("POST", f"{path}?endpointId=7", json={"displayName": "empty"})
        return server.request("POST", path + (query or f"/7{verb}"), json=body)

    return provoke


def ask(target: str = TINY, *, parts: Any = "hi", role: str = "user", config: Any = None, **request: Any) -> Provoke:
    """generateContent with something wrong in it."""
    parts = [{"text": parts}] if isinstance(parts, str) else parts
    body = {"contents": [{"role": role, "parts": parts}], "generationConfig": config, **request}
    return post(f"{target}:generateContent", body)


def listed(collection: str = "tuningJobs", **params: str) -> Provoke:
    return get(f"/v1/{LOCATION}/{collection}", params=params)


def at_an_experiment(path: str) -> Provoke:
    """A request about the curves of the job that made a tuned model."""

    def provoke(server: Server) -> httpx.Response:
        tuned(server)
        name = server.call("GET", f"{BOARD}/experiments")["tensorboardExperiments"][-1]["name"]
        (run,) = server.call("GET", f"/v1/{name}/runs")["tensorboardRuns"]
        return server.request("GET", f"/v1/{name}{path.format(run=run['name'].rpartition('/')[2])}")

    return provoke


def in_folder(name: str, make: Callable[[Path], object] | None = None) -> Provoke:
    """tuningJobs.create on a file of the folder that the operator lists."""

    def provoke(server: Server) -> httpx.Response:
        shared = server.home.parent / "shared"
        shared.mkdir(exist_ok=True)
        if make and not os.path.lexists(shared / name):
            make(shared / name)
        return create(train=f"file://{shared}/{name}")(server)

    return provoke


def in_kept_folder(server: Server) -> httpx.Response:
    return create(outputUri=f"file://{server.home.parent}/shared/kept/out")(server)


def cancel_twice(server: Server) -> httpx.Response:
    name = server.create_job("tiny", TRAIN)["name"]
    server.call("POST", f"/v1/{name}:cancel")
    server.finished_job(name)
    return server.request("POST", f"/v1/{name}:cancel")


def damaged(server: Server) -> httpx.Response:
    """A directory lies where a job's log should be."""
    name = server.create_job("tiny", TRAIN)["name"]
    server.call("POST", f"/v1/{name}:cancel")
    server.finished_job(name)
    log = server.run(name).dataset_log
    log.unlink(missing_ok=True)
    log.mkdir(parents=True)
    return server.request("GET", f"/sintonia/v1/{name}/log")


def report_in_mid_line(server: Server) -> httpx.Response:
    bad = server.upload("gs://my-data/bad.jsonl", [*shouting_rows(2), {"contents": []}])
    name = server.call("POST", VALIDATIONS, {"datasetUri": bad, "baseModel": "tiny"})["name"]
    until(
        lambda: server.call("GET", f"/sintonia/v1/{name}")["state"] not in ("PENDING", "RUNNING"),
        what="the end of a validation",
        server=server,
    )
    return server.request("GET", f"/sintonia/v1/{name}/datasetReport?offset=3")


def token_of_another_filter(server: Server) -> httpx.Response:
    server.create_job("tiny", TRAIN)
    server.create_job("tiny", TRAIN)
    token = server.call("GET", JOBS, params={"pageSize": "1"})["nextPageToken"]
    return server.request("GET", JOBS, params={"pageToken": token, "filter": "labels:team"})


REQUESTS: dict[str, Provoke] = {
    # Any request
    "an unknown path": get("/v1/nothing"),
    "a known path, another method": lambda server: server.request("DELETE", JOBS),
    "a parameter that the method does not have": listed(pageSise="2"),
    "a field that the answer does not have": listed(fields="tuningJobs(name,colour)"),
    "`fields` that cannot be read": listed(fields="tuningJobs(name))"),
    "a body over the limit (setting `max_request_bytes`)": post(JOBS, b" " * 65537),
    "a body that is no JSON": post(JOBS, '{"baseModel": "tiny",, }'),
    "a number that JSON does not have": post(JOBS, '{"baseModel": NaN}'),
    "a body that is not UTF-8": post(JOBS, b'{"baseModel": "\xff"}'),
    "a body nested too deeply": post(JOBS, "[" * 30000 + "]" * 30000),
    "half a surrogate pair in a text": post(JOBS, '{"description": "\\ud800"}'),
    "a body that is no object": post(f"{TINY}:generateContent", "[1]"),
    "a field that does not exist": create({"fooBar": 1}),
    "a field that does not exist, at the top": ask(fooBar=1),
    "a field that does not exist, inside a list": ask(parts=[{"text": "hi", "fooBar": 1}]),
    "a field that does not exist, inside a map": ask(
        tools=[{"functionDeclarations": [{"name": "f", "parameters": {"properties": {"a": {"oneOf": []}}}}]}]
    ),
    "several such fields": create({"foo": 1, "bar": 2}),
    "a value of another type": create(base=4),
    "a number that is none": create(hyper={"epochCount": "many"}),
    "a fraction where a whole number belongs": create(hyper={"epochCount": 4.5}),
    "a whole number that is too big": ask(config={"seed": 2**31}),
    "a name that the enum does not have": create(hyper={"adapterSize": "ADAPTER_SIZE_FIVE"}),
    "a message that is none": create({"hyperParameters": "fast"}),
    "bytes that are no base64": ask(parts=[{"inlineData": {"mimeType": "image/png", "data": "!"}}]),
    "a list where one value belongs": create(base=["tiny"]),
    "an object where a plain value belongs": create(description={"en": "mine"}),
    "a time that is none": create(createTime="yesterday"),
    "a project that cannot be": post("/v1/projects/a b/locations/us-central1/tuningJobs"),
    "a location that cannot be": post("/v1/projects/p/locations/Mars!/tuningJobs"),
    "a host name that is not this machine's": get("/healthz", headers={"Host": "example.com"}),
    "a web page of another origin": get("/healthz", headers={"Origin": "http://example.com"}),
    "a web page of another site": get("/healthz", headers={"Sec-Fetch-Site": "cross-site"}),
    "a fault: here, the server's own files are damaged": damaged,
    **sign_in_provocations.REQUESTS,
    **oidc_provocations.REQUESTS,
    **wire_provocations.REQUESTS,
    **storage_provocations.REQUESTS,
    # tuningJobs.create
    "no base model": create(base=None),
    "an unknown base model": create(base="gpt-5"),
    "a base model that is not on this machine": create(base="absent"),
    "a base model that is to come from a hub": create(base="remote"),
    "a base model whose configuration cannot be read": create(base="garbled"),
    "a base model whose configuration is no object": create(base="listed"),
    "a base model that does not tell its sizes": create(base="sizeless"),
    "no supervised tuning spec": post(JOBS, {"baseModel": "tiny"}),
    "no training dataset": create(train=None),
    "a dataset that is not there": create(train="gs://my-data/nothing.jsonl"),
    "a dataset in a bucket that is not there": create(train="gs://nowhere/train.jsonl"),
    "a dataset that is no JSONL": create(train="gs://my-data/rows.csv"),
    "a dataset that is no object": create(train="train.jsonl"),
    "both datasets wrong": create({"validationDatasetUri": "gs://my-data/rows.csv"}, train="gs://nowhere/t.jsonl"),
    "a dataset outside of the operator's places": create(train="s3://my-data/train.jsonl"),
    "a dataset by a name that leads elsewhere": in_folder("../home/sintonia.db"),
    "a file behind a symbolic link": in_folder("link.jsonl", lambda path: path.symlink_to("/etc/passwd")),
    "a file with several names": in_folder(
        "hard.jsonl", lambda path: (path.with_name("first").touch(), os.link(path.with_name("first"), path))
    ),
    "a file that is none": in_folder("folder.jsonl", Path.mkdir),
    "a file with a name that cannot be": in_folder("x" * 300 + ".jsonl"),
    "a place for outputs that is read-only": in_kept_folder,
    "an adapter size that the base model does not take": create(
        base="narrow", hyper={"adapterSize": "ADAPTER_SIZE_SIXTEEN"}
    ),
    "an epoch count out of range": create(hyper={"epochCount": 0}),
    "a learning rate multiplier out of range": create(hyper={"learningRateMultiplier": -1}),
    "a learning rate out of range": create(hyper={"learningRate": 2}),
    "a batch size out of range": create(hyper={"batchSize": 5000}),
    "a display name that is too long": create(tunedModelDisplayName="x" * 129),
    "a display name with a control character": create(tunedModelDisplayName="a\u0000b"),
    "a label that is not valid": create(labels={"Team": "search"}),
    "too many labels": create(labels={f"l{i}": "" for i in range(65)}),
    "a label without a key": create(labels={"": "x"}),
    "early stopping by something else than a number": create(labels={"sintonia-early-stopping": "soon"}),
    "early stopping without a validation set": create(labels={"sintonia-early-stopping": "3"}),
    "a place for outputs that is none": create(outputUri="my-data"),
    "a place for outputs in a bucket that is not there": create(outputUri="gs://nowhere/out"),
    "a tuned model that is not there": go_on(f"{LOCATION}/models/123@2"),
    "a tuned model of another project or location": go_on("projects/p/locations/europe-west4/models/123"),
    "a name that is no tuned model's": go_on("models/123"),
    "no name of a tuned model": go_on(""),
    "a base model and a tuned model": go_on(f"{LOCATION}/models/123", base="tiny"),
    "a checkpoint that the tuned model does not have": lambda server: go_on(tuned(server), checkpoint="9")(server),
    "a checkpoint whose files are gone": files_gone,
    "a tuned model whose alias means another base model now": alias_moved,
    "another adapter size than the tuned model's": lambda server: go_on(
        tuned(server), hyper={"adapterSize": "ADAPTER_SIZE_ONE"}
    )(server),
    "rebasing a tuned model": post(f"{JOBS}:rebaseTunedModel", {"tunedModelRef": {"tunedModel": "x"}}),
    "a field that this server knows and cannot serve yet": create(customBaseModel="gs://my-data/weights"),
    "a field inside the spec that it cannot serve yet": create({"evaluationConfig": {"metrics": [{}]}}),
    "a value that it cannot serve yet": create({"tuningMode": "TUNING_MODE_FULL"}),
    # Jobs, models, endpoints
    "an unknown tuning job": get(f"{JOBS}/123"),
    "cancelling a job that has ended": cancel_twice,
    "an unknown model": get(f"/v1/{LOCATION}/models/123@2"),
    "an unknown endpoint": get(f"/v1/{LOCATION}/endpoints/123"),
    "an unknown publisher model": get("/v1/publishers/google/models/gpt-5"),
    "a page size that is no number": listed(pageSize="ten"),
    "a page size below zero": listed(pageSize="-1"),
    "a page token of nobody": listed(pageToken="AAAA"),
    "a page token of another list or filter": token_of_another_filter,
    "an order that the list does not have": listed("models", orderBy="colour desc"),
    "a read mask with a field that is not there": listed("models", readMask="name,colour"),
    "a filter that cannot be read": listed(filter='state="JOB_STATE_SUCCEEDED" AND (labels.team=a'),
    "a filter on a field that is not there": listed(filter="colour=red"),
    "a filter with an operator that the field does not take": listed(filter="state>JOB_STATE_FAILED"),
    "a filter with a state that is none": listed(filter="state=GOING"),
    "a filter with a time that is none": listed(filter="create_time>yesterday"),
    # Changing models and endpoints
    "an update of a field that cannot be changed": at_model("PATCH", "?updateMask=artifactUri", {}),
    "an update mask with a field that is not there": at_model("PATCH", "?updateMask=colour", {}),
    "an update of what somebody else has changed meanwhile": at_model("PATCH", "", {"etag": "0", "displayName": "x"}),
    "a version alias that cannot be": at_model("POST", "@1:mergeVersionAliases", {"versionAliases": ["No!"]}),
    "no version alias": at_model("POST", "@1:mergeVersionAliases", {}),
    "taking the default version's alias away": at_model(
        "POST", "@1:mergeVersionAliases", {"versionAliases": ["-default"]}
    ),
    "an empty display name of a model": at_model("PATCH", "?updateMask=displayName", {}),
    "a default checkpoint that the model does not have": at_model("PATCH", "", {"defaultCheckpointId": "9"}),
    "deleting a version without naming it": at_model("DELETE", ":deleteVersion"),
    "deleting the default version of several": default_version,
    "deleting a model's only version": at_model("DELETE", "@1:deleteVersion"),
    "deleting a model by the name of one of its versions": one_of_several,
    "deleting a model that is deployed": at_model("DELETE"),
    "deleting an endpoint that has a model": at_endpoint("DELETE"),
    "an endpoint id that is taken": at_empty_endpoint("?endpointId=7", body={}),
    "an endpoint id that cannot be": at_empty_endpoint("?endpointId=mine", body={}),
    "an update of an endpoint that somebody else has changed meanwhile": at_endpoint(
        "PATCH", "", {"etag": "0", "displayName": "x"}
    ),
    "a traffic split of a new endpoint": at_empty_endpoint("?endpointId=8", body={"trafficSplit": {"0": 100}}),
    "a traffic split that leaves the deployed model out": at_endpoint("PATCH", "", {"trafficSplit": {"5": 100}}),
    "deploying what is no model of the place": at_empty_endpoint(
        verb=":deployModel", body={"deployedModel": {"model": "models/123"}}
    ),
    "deploying under an id that cannot be": at_empty_endpoint(
        verb=":deployModel", body={"deployedModel": {"id": "mine"}}
    ),
    "deploying a checkpoint that the model does not have": at_endpoint(
        "POST", ":deployModel", {"deployedModel": {"model": "TUNED", "checkpointId": "9"}}
    ),
    "a field of an endpoint that it cannot serve yet": at_empty_endpoint(
        "?endpointId=8", body={"network": "projects/1/global/networks/n"}
    ),
    "undeploying without saying what": at_endpoint("POST", ":undeployModel", {}),
    "a second model at one endpoint": at_endpoint("POST", ":deployModel", {"deployedModel": {"model": "TUNED"}}),
    "undeploying what is not deployed": at_endpoint("POST", ":undeployModel", {"deployedModelId": "5"}),
    "asking an endpoint without a model": at_empty_endpoint(
        verb=":generateContent", body={"contents": {"parts": {"text": "hi"}}}
    ),
    "an unknown operation": get(f"/v1/{LOCATION}/operations/123"),
    # Experiments and their curves
    "an unknown metadata store": get(f"/v1/{LOCATION}/metadataStores/mine/contexts"),
    "an unknown context": get(f"/v1/{LOCATION}/metadataStores/default/contexts/mine"),
    "an unknown execution": get(f"/v1/{LOCATION}/metadataStores/default/executions/mine"),
    "an unknown TensorBoard": get(f"/v1/{LOCATION}/tensorboards/7"),
    "a name that is no time series'": get(f"{BOARD}:batchRead?timeSeries=mine"),
    "an unknown experiment of a TensorBoard": get(f"{BOARD}/experiments/mine"),
    "an unknown run of a TensorBoard": at_an_experiment("/runs/mine"),
    "an unknown time series of a TensorBoard": at_an_experiment("/runs/{run}/timeSeries/mine"),
    "a number of points that is none": get(f"{BOARD}/experiments/e/runs/r/timeSeries/s:read?maxDataPoints=0"),
    "a filter of points": get(f"{BOARD}/experiments/e/runs/r/timeSeries/s:read?filter=x"),
    # Generation
    "no contents": post(f"{TINY}:generateContent"),
    "a role that is none": ask(role="wizard"),
    "a system turn among the contents": ask(role="system"),
    "a turn without parts": ask(parts=[]),
    "a part that the base model cannot take": ask(parts=[{"inlineData": {"mimeType": "image/png", "data": "aGk="}}]),
    "a temperature out of range": ask(config={"temperature": 3}),
    "a top-K below 1": ask(config={"topK": 0}),
    "more output tokens than there can be": ask(config={"maxOutputTokens": 65536}),
    "more candidates than 8": ask(config={"candidateCount": 9}),
    "too many stop sequences": ask(config={"stopSequences": list("abcdef")}),
    "log probabilities without asking for them": ask(config={"logprobs": 2}),
    "a prompt that is longer than the context": ask(parts="word " * 5000),
    "a prompt that is far longer than the context": ask(parts="word " * 12000),
    "a field of generation that it cannot serve yet": ask(cachedContent="x"),
    "an unknown endpoint, asked": ask(f"/v1/{LOCATION}/endpoints/123"),
    "an unknown base model, asked": ask(f"/v1/{LOCATION}/publishers/google/models/gpt-5"),
    "a base model that cannot be loaded": ask(f"/v1/{LOCATION}/publishers/google/models/broken"),
    # Our own resources
    "a step that is no number": get(f"/sintonia/v1/{LOCATION}/tuningJobs/1/metrics?after=x"),
    "a place in the report where no line begins": report_in_mid_line,
    "a filter of dataset validations": get(VALIDATIONS, params={"filter": "state=RUNNING"}),
    "deleting a dataset validation that has not ended": lambda server: server.request(
        "DELETE", f"/sintonia/v1/{server.call('POST', VALIDATIONS, {'datasetUri': TRAIN, 'baseModel': 'tiny'})['name']}"
    ),
    "a dataset validation that is not there": get(f"/sintonia/v1/{LOCATION}/datasetValidations/123"),
}
