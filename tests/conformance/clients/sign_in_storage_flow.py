"""google-cloud-storage and gcsfs sign in: python sign_in_storage_flow.py ADDRESS. Run by test_sign_in.py.

The tokens are in GOOD, which is a tuner of project p, and BAD.
"""

import json
import os
import sys

from google.api_core import exceptions
from google.auth.exceptions import RefreshError
from google.cloud import storage
from google.oauth2.credentials import Credentials

(address,) = sys.argv[1:]
seen = {}


def connect(token, project="p"):
    return storage.Client(
        project=project, credentials=Credentials(token), client_options={"api_endpoint": address}
    )  # fmt: skip


def attempt(name, call):
    try:
        seen[name] = call()
    except exceptions.GoogleAPICallError as error:
        seen[name] = str(int(error.code))
    except RefreshError:  # what google-auth makes of a 401: it tries for another token
        seen[name] = "401"


good = connect(os.environ["GOOD"])
good.create_bucket("signed-in").blob("a/b").upload_from_string("text")
attempt("read", lambda: good.bucket("signed-in").blob("a/b").download_as_text())
attempt("read another's", lambda: good.bucket("of-q").blob("x").download_as_text())
attempt("write another's", lambda: good.bucket("of-q").blob("x").upload_from_string("x"))
attempt("list another's", lambda: len(list(good.list_blobs("of-q"))))
attempt("make in another's", lambda: connect(os.environ["GOOD"], "q").create_bucket("new").name)
attempt("stranger", lambda: connect(os.environ["BAD"]).bucket("signed-in").blob("a/b").download_as_text())


def many():
    with good.batch():
        for name in ("one", "two"):
            good.bucket("signed-in").blob(name)
            good.bucket("signed-in").delete_blob("a/b") if name == "two" else None
    return good.bucket("signed-in").blob("a/b").exists()


attempt("batch", many)
print("SEEN " + json.dumps(seen))
