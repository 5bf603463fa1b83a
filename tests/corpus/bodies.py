"""Bodies that no client of good will sends. Each is answered quickly, whatever takes it, and never with a fault."""

from __future__ import annotations

import gzip
import json
from typing import Any

_BOM = "\ufeff"

BODIES: dict[str, bytes] = {
    "nothing": b"",
    "spaces": b" \t\r\n" * 1000,
    "null": b"null",
    "true": b"true",
    "a number": b"0",
    "a string": b'"tiny"',
    "a list": b"[]",
    "an empty object": b"{}",
    "no JSON": b"baseModel=tiny&x=1",
    "a page": b"<html><body>hello</body></html>",
    "cut in a string": b'{"baseModel": "ti',
    "cut in an escape": b'{"baseModel": "\\u00',
    "cut in an object": b'{"baseModel": {"a": [',
    "cut behind a name": b'{"baseModel"',
    "more behind it": b'{} {"baseModel": "tiny"}',
    "commas alone": b"{,,,}",
    "a quote alone": b'"',
    "backslashes": b'{"a": "' + b"\\" * 9999 + b'"}',
    "not UTF-8": b'{"baseModel": "\xff\xfe"}',
    "overlong UTF-8": b'{"baseModel": "\xc0\xaf"}',
    "a surrogate in UTF-8": b'{"baseModel": "\xed\xa0\x80"}',
    "UTF-8 with a mark": (_BOM + "{}").encode(),
    "two marks": (_BOM * 2 + "{}").encode(),
    "UTF-16": (_BOM + '{"baseModel": "tiny"}').encode("utf-16-le"),
    "UTF-16 without a mark": b'{"baseModel": "tiny"}'.decode().encode("utf-16-be"),
    "UTF-32": (_BOM + "{}").encode("utf-32-le"),
    "Latin-1": '{"description": "ação"}'.encode("latin-1"),
    "NUL bytes": b"\0" * 1000,
    "a NUL byte in a string": b'{"displayName": "a\0b"}',
    "NUL escaped": b'{"displayName": "a\\u0000b", "description": "\\u0000", "labels": {"a\\u0000": "\\u0000"}}',
    "half a pair": b'{"displayName": "\\ud800", "description": "\\ud800"}',
    "half a pair in a name": b'{"\\udc00": 1}',
    "half a pair, leniently": b"{displayName: '\\ud800',}",
    "a name twice": b'{"displayName": "a", "displayName": "b"}',
    "a name in both spellings": b'{"displayName": "a", "display_name": "b"}',
    "a name twice deep inside": b'{"contents": [{"parts": [{"text": "a", "text": "b"}]}]}',
    "lists in lists": b"[" * 5000 + b"]" * 5000,
    "lists that do not close": b"[" * 90000,
    "objects in objects": b'{"a":' * 5000 + b"1" + b"}" * 5000,
    "lists in lists, leniently": b"{a:" + b"[" * 5000 + b"]" * 5000 + b",}",
    "objects in objects, leniently": b"{a:" * 5000 + b"1" + b"}" * 5000,
    "deep where anything may be": b'{"contents":[{"parts":[{"functionCall":{"name":"f","args":'
    + b'{"a":' * 90 + b"{}" + b"}" * 90 + b"}}]}]}",
    "deeper than any": b'{"contents":[{"parts":[{"functionCall":{"name":"f","args":'
    + b'{"a":' * 900 + b"{}" + b"}" * 900 + b"}}]}]}",
    "NaN": b'{"temperature": NaN}',
    "Infinity": b'{"temperature": -Infinity}',
    "Infinity, leniently": b"{temperature: -Infinity,}",
    "a huge exponent": b'{"temperature": 1e999999999}',
    "a tiny exponent": b'{"temperature": 1e-999999999}',
    "a huge exponent, leniently": b"{temperature: 1e999999999,}",
    "a whole number beyond int64": b'{"version": 9223372036854775808}',
    "a whole number of thousands of digits": b'{"version": ' + b"9" * 5000 + b"}",
    "the same below zero": b'{"version": -' + b"9" * 5000 + b"}",
    "the same, leniently": b"{version: " + b"9" * 5000 + b",}",
    "the same in hexadecimal": b"{version: 0x" + b"f" * 5000 + b",}",
    "a fraction of thousands of digits": b'{"temperature": 0.' + b"9" * 5000 + b"}",
    "a huge string": b'{"displayName": "' + b"a" * 3_000_000 + b'"}',
    "a huge name": b'{"' + b"a" * 3_000_000 + b'": 1}',
    "very many names": json.dumps({f"name{number}": number for number in range(30_000)}).encode(),
    "very many objects": b'{"contents": [' + b"{}," * 49_000 + b"{}]}",
    "very many wrong values": b'{"contents": [' + b"1," * 98_000 + b"1]}",
    "too many values": b"[" + b"0," * 3_000_000 + b"0]",
    "too many quotes": b'"' * 3_000_001,
    "gzip that does not say so": gzip.compress(b'{"baseModel": "tiny"}'),
    "comments": b"/* a */ {// b\n}",
    "names of Python's": b'{"__class__": {}, "__init__": 1, "model_config": {}, "proto": "x", "self": 1}',
}  # fmt: skip

HEADERS: dict[str, dict[str, str]] = {
    "a form": {"content-type": "application/x-www-form-urlencoded"},
    "a form of parts": {"content-type": "multipart/form-data; boundary=x"},
    "no such type": {"content-type": "////;;;"},
    "another charset": {"content-type": "application/json; charset=utf-16"},
    "gzip": {"content-encoding": "gzip"},
    "an unknown encoding": {"content-encoding": "x" * 1000},
}

NUL = "a\u0000b"
VALUES: list[Any] = [
    None,
    True,
    2**63,
    10**300,
    1.5,
    "",
    "x",
    NUL,
    "9" * 5000,
    "projects/p/locations/us-central1/models/1",
    "%s%n../../etc/passwd\u202e",
    [],
    [None],
    [[]],
    {},
    {"": {}},
    {"a": [{"b": None}]},
]
"""Tried in the place of every field."""
