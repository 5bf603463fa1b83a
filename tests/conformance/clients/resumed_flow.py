"""google-cloud-storage uploads in pieces of 256 KiB: python resumed_flow.py ADDRESS BUCKET SIZE.

Before each piece it prints PIECE and waits for a line on its input.
"""

import io
import os
import sys

from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

address, bucket, size = sys.argv[1:]
os.environ["STORAGE_EMULATOR_HOST"] = address


class Pausing(io.BytesIO):
    def read(self, size=-1):
        if self.tell() < len(self.getbuffer()):
            print("PIECE", self.tell(), flush=True)
            sys.stdin.readline()
        return super().read(size)


client = storage.Client(project="p", credentials=AnonymousCredentials())
blob = client.bucket(bucket).blob("resumed.bin", chunk_size=2**18)
content = os.urandom(int(size))
blob.upload_from_file(Pausing(content), size=int(size))
assert blob.download_as_bytes() == content
print("SEEN {}", flush=True)
