"""Lists of objects against a plain model of what Cloud Storage documents."""

from __future__ import annotations

from itertools import pairwise
from math import prod
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sintonia.errors import InvalidArgument
from sintonia.storage import BucketStore
from sintonia.storage.globs import compile_glob
from sintonia.storage.listing import Selection, read_token, write_token

texts = st.text("ab/é", max_size=4)
nothing_or_texts = st.none() | texts


def listed(selection: Selection, names: set[str], page_size: int) -> tuple[list[str], list[str]]:
    """Objects and prefixes of all pages, each page from its token alone."""
    objects, prefixes, token = [], [], None
    while True:
        items = list(selection.items(names, token))
        for item in items[:page_size]:
            (objects if item.is_object else prefixes).append(item.text)
        if len(items) <= page_size:
            return objects, prefixes
        token = write_token(items[page_size - 1])
        assert read_token(token) == items[page_size - 1]


def expected(selection: Selection, names: set[str]) -> tuple[list[str], list[str]]:
    objects, prefixes = [], set()
    for name in sorted(names, key=str.encode):
        raw, prefix = name.encode(), selection.prefix.encode()
        if not raw.startswith(prefix):
            continue
        if selection.start_offset is not None and raw < selection.start_offset.encode():
            continue
        if selection.end_offset and raw >= selection.end_offset.encode():
            continue
        behind = name[len(selection.prefix) :]
        if selection.delimiter and selection.delimiter in behind:
            folder = selection.prefix + behind.split(selection.delimiter)[0] + selection.delimiter
            prefixes.add(folder)
            if not (selection.include_trailing_delimiter and folder == name):
                continue
        objects.append(name)
    return objects, sorted(prefixes, key=str.encode)


@settings(max_examples=250, deadline=None)
@given(
    names=st.sets(st.text("ab/é", min_size=1, max_size=5), max_size=12),
    selection=st.builds(Selection, texts, st.sampled_from([None, "", "/", "a", "//", "é"]), nothing_or_texts,
                        nothing_or_texts, st.booleans()),
    page_size=st.integers(1, 4),
)  # fmt: skip
def test_a_list_is_what_the_model_says_on_any_pages(names: set[str], selection: Selection, page_size: int) -> None:
    assert listed(selection, names, page_size) == expected(selection, names)


@settings(max_examples=200, deadline=None)
@given(
    before=st.sets(st.text("ab/", min_size=1, max_size=4), max_size=10),
    after=st.sets(st.text("ab/", min_size=1, max_size=4), max_size=10),
    delimiter=st.sampled_from([None, "/"]),
    page_size=st.integers(1, 3),
)
def test_what_stays_is_listed_once_whatever_comes_and_goes(
    before: set[str], after: set[str], delimiter: str | None, page_size: int
) -> None:
    """Between the first page and the others names are added and deleted."""
    selection = Selection(delimiter=delimiter)
    first = list(selection.items(before, None))[:page_size]
    rest = list(selection.items(after, write_token(first[-1]))) if len(first) == page_size else []
    items = first + rest
    assert items == sorted(set(items))
    if len(first) == page_size:
        stays = before & after
        assert set(selection.items(stays, None)) <= set(items)


# Patterns as lists of parts; a part that is a list of patterns is one of them.
plain = st.sampled_from(["a", "b", "/", "*", "**", "?", "[ab]", "[!a]", "[^a/]", "[a-b/]", "\\*", ".", "é"])
patterns = st.recursive(
    st.lists(plain, max_size=4), lambda inner: st.lists(plain | st.lists(inner, min_size=1, max_size=3), max_size=4),
    max_leaves=6,
)  # fmt: skip


def write(pattern: list) -> str:  # type: ignore[type-arg]
    return "".join(part if isinstance(part, str) else "{" + ",".join(map(write, part)) + "}" for part in pattern)


def ways(pattern: list) -> int:  # type: ignore[type-arg]
    """How many patterns without braces it stands for."""
    return prod(sum(map(ways, part)) for part in pattern if isinstance(part, list))


def stars_meet(pattern: list) -> bool:  # type: ignore[type-arg]
    """Written one behind the other, they are read as others."""
    pairs = pairwise(pattern)
    return any(set(map(str, pair)) <= {"*", "**"} for pair in pairs) or any(
        stars_meet(choice) for part in pattern if isinstance(part, list) for choice in part
    )


def matches(pattern: list, name: str) -> bool:  # type: ignore[type-arg]
    if not pattern:
        return not name
    part, *rest = pattern
    if isinstance(part, list):
        return any(matches([*choice, *rest], name) for choice in part)
    if part in ("*", "**"):
        ends = [end for end in range(len(name) + 1) if part == "**" or "/" not in name[:end]]
        return any(matches(rest, name[end:]) for end in ends)
    if not name:
        return False
    ones = {"?": name[0] != "/", "[ab]": name[0] in "ab", "[!a]": name[0] not in "a/", "[^a/]": name[0] not in "a/",
            "[a-b/]": name[0] in "ab/", "\\*": name[0] == "*"}  # fmt: skip
    return ones.get(part, name[0] == part) and matches(rest, name[1:])


@settings(max_examples=300, deadline=None)
@given(patterns, st.text("ab/*.é", max_size=7))
def test_a_glob_matches_what_the_model_says(pattern: list, name: str) -> None:  # type: ignore[type-arg]
    assume(not stars_meet(pattern) and ways(pattern) <= 100)
    text = write(pattern)
    assert bool(compile_glob(text).fullmatch(name)) == matches(pattern, name), text


def test_globs_of_the_documentation() -> None:
    names = {"a.jsonl", "b.csv", "x/a.jsonl", "x/y/a.jsonl", "x/y/b.csv", "z{1}", "a[b"}
    for glob, found in {
        "*.jsonl": ["a.jsonl"],
        "**.jsonl": ["a.jsonl", "x/a.jsonl", "x/y/a.jsonl"],
        "x/**/a.jsonl": ["x/y/a.jsonl"],
        "**/*.{csv,jsonl}": ["x/a.jsonl", "x/y/a.jsonl", "x/y/b.csv"],
        "?.[a-c]*": ["b.csv"],
        "z\\{1\\}": ["z{1}"],
        "a[[]b": ["a[b"],
        "a[b": ["a[b"],
        "": sorted(names),
    }.items():
        assert [item.text for item in Selection(match_glob=glob).items(names, None)] == found, glob
    folders = Selection(delimiter="/", match_glob="x*")
    assert [item.text for item in folders.items({"x", "x1/a", "y/a"}, None)] == ["x"]
    assert [i.text for i in Selection(delimiter="/", match_glob="*/").items({"x", "x1/a", "y/a"}, None)] == [
        "x1/",
        "y/",
    ]


@pytest.mark.parametrize(
    "glob", ["{a", "{" * 3000, "{a,b}" * 50, "[b-a]", "{" * 90, "{a,{b,c}", "a" * 9000, "{a,b}" * 6 + "a" * 200]
)
def test_globs_that_cannot_be_read_are_refused(glob: str) -> None:
    with pytest.raises(InvalidArgument, match="matchGlob"):
        compile_glob(glob)


def test_a_glob_works_with_one_delimiter_only() -> None:
    with pytest.raises(InvalidArgument, match="delimiter"):
        list(Selection(delimiter="-", match_glob="*").items({"a"}, None))


@pytest.mark.parametrize("glob", ["*a" * 200 + "z", "**a" * 200 + "z", "*a**b" * 100 + "z", "**a*b" * 100 + "z"])
def test_no_glob_runs_away(glob: str) -> None:
    """Tried one after the other, the ways to match these are more than the atoms of the world."""
    for name in ("a" * 1024, "ab" * 512, "a/" * 512, "ab/" * 341):
        assert not compile_glob(glob).fullmatch(name)


def test_a_store_lists_by_all_of_it(tmp_path: Path) -> None:
    store = BucketStore(tmp_path)
    store.create_bucket("data", "p1")
    for name in ("a/", "a/1", "b/1", "b/2", "c", "d"):
        with store.write_object("data", name):
            pass
    page = store.list_objects("data", delimiter="/", include_trailing_delimiter=True, end_offset="d", page_size=2)
    assert ([stored.name for stored in page.objects], page.prefixes) == (["a/"], ["a/"])
    page = store.list_objects(
        "data", delimiter="/", include_trailing_delimiter=True, end_offset="d", page_token=page.next_page_token
    )
    assert ([stored.name for stored in page.objects], page.prefixes) == (["c"], ["b/"])
    assert [stored.name for stored in store.list_objects("data", start_offset="b/2").objects] == ["b/2", "c", "d"]
    assert [stored.name for stored in store.list_objects("data", match_glob="*/1").objects] == ["a/1", "b/1"]
    with pytest.raises(InvalidArgument, match="maxResults"):
        store.list_objects("data", page_size=0)


def test_a_bucket_of_thousands_is_listed_in_pages_of_a_thousand(tmp_path: Path) -> None:
    store = BucketStore(tmp_path)
    store.create_bucket("data", "p1")
    with store.write_object("data", "0000"):
        pass
    record = tmp_path / "data" / "records" / "0000.json"
    for number in range(1, 2500):  # put there past the store, which would wait for the disk at each
        (record.parent / f"{number:04}.json").write_text(record.read_text().replace('"0000"', f'"{number:04}"'))
    sizes, token = [], None
    while True:
        page = store.list_objects("data", page_size=5000, page_token=token)
        sizes.append(len(page.objects))
        token = page.next_page_token
        if token is None:
            break
    assert sizes == [1000, 1000, 500]
