"""Any sequence of changes of the embedded store leaves what a model in memory says."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from sintonia.errors import ConditionNotMet, NotFound
from sintonia.storage import BucketStore, ObjectMetadata, Preconditions

names = st.sampled_from(["a", "a/", "a/b", "é", "e\u0301", "..", "x" * 300, "x" * 301])
contents = st.binary(max_size=20)
metadata = st.builds(
    ObjectMetadata, content_type=st.just("t/t"), custom=st.dictionaries(st.text(max_size=3), st.text())
)


@dataclass(frozen=True)
class Known:
    content: bytes
    metadata: ObjectMetadata
    generation: int
    metageneration: int = 1


class Changes(RuleBasedStateMachine):
    uploads = Bundle("uploads")

    @initialize()
    def start(self) -> None:
        self.root = Path(tempfile.mkdtemp())
        self.store = BucketStore(self.root)
        self.store.create_bucket("data", "p1")
        self.known: dict[str, Known] = {}
        self.parts: dict[str, tuple[str, ObjectMetadata, Preconditions, bytes]] = {}
        self.latest = 0

    def teardown(self) -> None:
        if hasattr(self, "root"):
            shutil.rmtree(self.root)

    def conditions(self, name: str, kind: str) -> Preconditions:
        known = self.known.get(name)
        return {
            "none": Preconditions(),
            "new": Preconditions(generation_match=0),
            "same": Preconditions(generation_match=known.generation if known else 1),
            "other": Preconditions(generation_not_match=known.generation if known else 0),
            "untouched": Preconditions(metageneration_match=1),
        }[kind]

    def holds(self, name: str, kind: str) -> bool:
        known = self.known.get(name)
        return {
            "none": True,
            "new": known is None,
            "same": known is not None,
            "other": False,
            "untouched": known is not None and known.metageneration == 1,
        }[kind]

    kinds = st.sampled_from(["none", "none", "new", "same", "other", "untouched"])

    def became(self, name: str, content: bytes, said: ObjectMetadata, generation: int) -> None:
        assert generation > self.latest
        self.latest = generation
        self.known[name] = Known(content, said, generation)

    @rule(name=names, content=contents, said=metadata, kind=kinds)
    def write(self, name: str, content: bytes, said: ObjectMetadata, kind: str) -> None:
        when = self.conditions(name, kind)
        if not self.holds(name, kind):
            with pytest.raises(ConditionNotMet):
                self.store.write_object("data", name, metadata=said, when=when)
            return
        with self.store.write_object("data", name, metadata=said, when=when) as writer:
            writer.write(content)
        assert writer.stored
        self.became(name, content, said, writer.stored.generation)

    @rule(name=names, kind=kinds)
    def delete(self, name: str, kind: str) -> None:
        when = self.conditions(name, kind)
        if name not in self.known or not self.holds(name, kind):
            with pytest.raises((NotFound, ConditionNotMet)):
                self.store.delete_object("data", name, when=when)
        else:
            self.store.delete_object("data", name, when=when)
            del self.known[name]

    @rule(name=names, said=metadata)
    def update(self, name: str, said: ObjectMetadata) -> None:
        if known := self.known.get(name):
            self.store.update_object("data", name, lambda old: replace(old, custom=said.custom))
            said = replace(known.metadata, custom=said.custom)
            self.known[name] = replace(known, metadata=said, metageneration=known.metageneration + 1)

    @rule(source=names, name=names, said=st.none() | metadata)
    def copy(self, source: str, name: str, said: ObjectMetadata | None) -> None:
        if source not in self.known:
            with pytest.raises(NotFound):
                self.store.copy_object(("data", source), ("data", name))
            return
        stored = self.store.copy_object(("data", source), ("data", name), metadata=said)
        known = self.known[source]
        self.became(name, known.content, said or known.metadata, stored.generation)

    @rule(sources=st.lists(names, min_size=1, max_size=3), name=names, said=metadata)
    def compose(self, sources: list[str], name: str, said: ObjectMetadata) -> None:
        if not set(sources) <= set(self.known):
            with pytest.raises(NotFound):
                self.store.compose("data", [(source, None) for source in sources], name)
            return
        named = [(source, self.known[source].generation) for source in sources]
        stored = self.store.compose("data", named, name, metadata=said)
        self.became(name, b"".join(self.known[source].content for source in sources), said, stored.generation)

    @rule(target=uploads, name=names, said=metadata, kind=kinds)
    def start_upload(self, name: str, said: ObjectMetadata, kind: str) -> object:
        when = self.conditions(name, kind)
        if not self.holds(name, kind):
            with pytest.raises(ConditionNotMet):
                self.store.start_upload("data", name, when=when)
            return multiple()
        id = self.store.start_upload("data", name, metadata=said, when=when)
        self.parts[id] = name, said, when, b""
        return id

    @rule(id=uploads, content=contents, again=st.integers(0, 5))
    def append(self, id: str, content: bytes, again: int) -> None:
        if id in self.parts:
            name, said, when, part = self.parts[id]
            offset = max(0, len(part) - again)
            upload = self.store.append(id, offset, [part[offset:], content])
            self.parts[id] = name, said, when, part + content
            assert upload.received == len(part + content)

    @rule(id=consumes(uploads))
    def finish(self, id: str) -> None:
        name, said, when, part = self.parts.pop(id)
        known = self.known.get(name)
        holds = (
            when.generation_match in (None, known.generation if known else 0)
            and when.metageneration_match in (None, known.metageneration if known else 0)
        )  # fmt: skip
        if not holds:
            with pytest.raises(ConditionNotMet):
                self.store.finish(id)
            return
        stored = self.store.finish(id)
        assert self.store.finish(id) == stored
        self.became(name, part, said, stored.generation)

    @rule()
    def restart(self) -> None:
        self.store = BucketStore(self.root)
        self.store.sweep()

    @invariant()
    def all_is_as_known(self) -> None:
        if not hasattr(self, "root"):
            return
        listed = self.store.list_objects("data").objects
        assert [stored.name for stored in listed] == sorted(self.known, key=str.encode)
        for stored in listed:
            with self.store.open_object("data", stored.name) as reader:
                assert reader.stored == stored
                found = Known(reader.read(), stored.metadata, stored.generation, stored.metageneration)
            assert found == self.known[stored.name]
        assert len(list((self.root / "data" / "data").iterdir())) == len(self.known)


TestChanges = Changes.TestCase
TestChanges.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)
