"""The official clients sign in, and are told when they may not: python sign_in_flow.py REST GRPC MODEL.

The tokens are in GOOD, which is a viewer of project p, and BAD. Prints what was seen. Run by test_sign_in.py.
"""

import json
import os
import sys
import warnings

warnings.filterwarnings("ignore")

import vertexai  # noqa: E402
from google import genai  # noqa: E402
from google.api_core import exceptions  # noqa: E402
from google.auth.exceptions import RefreshError  # noqa: E402
from google.cloud import aiplatform  # noqa: E402
from google.genai import errors  # noqa: E402
from google.oauth2.credentials import Credentials  # noqa: E402
from vertexai.generative_models import GenerativeModel  # noqa: E402

rest, grpc, model = sys.argv[1:]
good, bad = os.environ["GOOD"], os.environ["BAD"]
seen = {}


def attempt(name, call):
    try:
        seen[name] = call()
    except (exceptions.GoogleAPICallError, errors.APIError) as error:
        seen[name] = str(getattr(error.code, "value", error.code))
    except RefreshError:  # what google-auth makes of a 401: it tries for another token
        seen[name] = "401"


def google_genai(project, token):
    client = genai.Client(
        vertexai=True, project=project, location="us-central1", credentials=Credentials(token),
        http_options={"base_url": rest},
    )  # fmt: skip
    return client.models.count_tokens(model=model, contents="one two").total_tokens


def google_genai_key(token):
    client = genai.Client(vertexai=True, api_key=token, http_options={"base_url": rest})
    return client.models.count_tokens(model=model, contents="one two").total_tokens


def old_client(transport, project, token):
    vertexai.init(
        project=project, location="us-central1", credentials=Credentials(token), api_transport=transport,
        api_endpoint=rest if transport == "rest" else grpc,
    )  # fmt: skip
    return GenerativeModel(model).count_tokens("one two").total_tokens


def deploy(transport, token):
    vertexai.init(
        project="p", location="us-central1", credentials=Credentials(token), api_transport=transport,
        api_endpoint=rest if transport == "rest" else grpc,
    )  # fmt: skip
    return aiplatform.Endpoint.create(display_name="a viewer's").display_name


for who, token in (("good", good), ("bad", bad)):
    attempt(f"genai {who}", lambda token=token: google_genai("p", token))
    attempt(f"genai key {who}", lambda token=token: google_genai_key(token))
    for transport in ("rest", "grpc"):
        attempt(
            f"vertexai {transport} {who}", lambda token=token, transport=transport: old_client(transport, "p", token)
        )
attempt("genai elsewhere", lambda: google_genai("q", good))
for transport in ("rest", "grpc"):
    attempt(f"vertexai {transport} elsewhere", lambda transport=transport: old_client(transport, "q", good))
    attempt(f"vertexai {transport} change", lambda transport=transport: deploy(transport, good))
print("SEEN " + json.dumps(seen))
