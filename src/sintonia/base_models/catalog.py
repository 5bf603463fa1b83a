"""The catalog: built-in entries and the operator's, by id or alias."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sintonia.base_models import embedded
from sintonia.errors import FailedPrecondition, InvalidArgument, NotFound

_PUBLISHER = re.compile(r"publishers/([^/]+)/")
_EMBEDDED_SOURCE = f"package:{embedded.PACKAGE.partition('==')[0]}"

Stage = Literal["EXPERIMENTAL", "PRIVATE_PREVIEW", "PUBLIC_PREVIEW", "GA"]


class BaseModelEntry(BaseModel):
    """One base model. ``id`` and ``source`` are enough; the rest is read from the model or has a default."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")
    source: str = Field(
        min_length=1,
        description="a Hugging Face id (ORG/NAME), a local folder (absolute, or ./relative), or package:NAME",
    )
    display_name: str | None = None
    license: str = "unknown"
    provenance: str = ""
    modalities: list[Literal["text"]] = ["text"]
    family: str = "chat_template"
    context_length: int | None = Field(default=None, gt=0, description="tokens; default: what the model's config says")
    max_example_tokens: int | None = Field(
        default=None, gt=0, description="longest training example in tokens; default: the context length"
    )
    adapter_sizes: list[int] = [1, 2, 4, 8, 16, 32]
    default_adapter_size: int = 16
    stage: Stage = "GA"
    aliases: list[str] = []


class Alias(BaseModel):
    """Another name for a base model, with what is narrower under that name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    model: str
    stage: Stage | None = None
    modalities: list[Literal["text"]] | None = None


@dataclass(frozen=True)
class ModelFacts:
    """What the model's own files say."""

    hidden_size: int
    context_length: int
    layers: int
    """0 if not told, here and below."""
    heads: int
    inner_size: int
    """Of the feed-forward part of a layer."""
    parameters: int
    """About how many, as a llama of these sizes would have them."""


@dataclass(frozen=True)
class Catalog:
    """All base models, and where the embedded one is cached."""

    entries: Mapping[str, BaseModelEntry]
    aliases: Mapping[str, Alias]
    cache: Path

    @classmethod
    def load(
        cls,
        *,
        cache: Path,
        entries: Iterable[Mapping[str, Any]] = (),
        aliases: Mapping[str, str] | None = None,
    ) -> Catalog:
        """The built-in catalog with the operator's entries and aliases on top; his word wins on equal names.

        Raises:
            InvalidArgument: an entry is not valid; says which and why.
        """
        builtin = tomllib.loads((resources.files(__package__) / "builtin.toml").read_text(encoding="utf-8"))
        by_id: dict[str, BaseModelEntry] = {}
        named: list[Alias] = [Alias.model_validate(raw) for raw in builtin["aliases"]]
        for raw in [*builtin["base_models"], *entries]:
            entry = _parse_entry(raw)
            by_id[entry.id] = entry
        named += [Alias(name=name, model=entry.id) for entry in by_id.values() for name in entry.aliases]
        named += [Alias(name=name, model=target) for name, target in (aliases or {}).items()]
        for alias in named:
            if alias.model not in by_id:
                raise InvalidArgument(
                    f"Base-model alias '{alias.name}' stands for '{alias.model}', which the catalog lacks."
                )
        return cls(by_id, {alias.name: alias for alias in named}, cache)

    def find(self, name: str) -> BaseModelEntry:
        """The entry that ``name`` means: an id, an alias, or a resource name of publisher google that ends in one.

        Raises:
            NotFound: in the API's words.
        """
        short = name.rsplit("/", 1)[-1].partition("@")[0]
        alias = self.aliases.get(short)
        entry = self.entries.get(alias.model if alias else short)
        publisher = _PUBLISHER.search(name)
        if entry is None or (publisher and publisher[1] != "google"):
            raise NotFound(
                f"Publisher Model `{name}` was not found or your project does not have access to it. Please ensure "
                f"you are using a valid model version. This server's catalog has: {', '.join(self.names())}."
            )
        return entry

    def names(self) -> list[str]:
        """Every name a request may use: ids, then aliases."""
        return [*self.entries, *self.aliases]

    def aliases_of(self, model_id: str) -> list[str]:
        return [alias.name for alias in self.aliases.values() if alias.model == model_id]

    def directory(self, entry: BaseModelEntry) -> Path:
        """The local Hugging Face directory of a model.

        Raises:
            FailedPrecondition: it is not on this machine yet; says how to bring it.
        """
        if entry.source.startswith("package:"):
            return embedded.directory(self.cache)
        path = Path(entry.source)
        if path.is_absolute():
            if not (path / "config.json").is_file():
                raise FailedPrecondition(f"Base model '{entry.id}': the folder '{path}' holds no config.json.")
            return path
        return _from_hub(entry, download=False)

    def pull(self, entry: BaseModelEntry) -> Path:
        """Bring a model onto this machine if it is not there, from where its entry says; may take long."""
        if entry.source.startswith("package:"):
            return embedded.prepare_embedded(self.cache)
        if Path(entry.source).is_absolute():
            return self.directory(entry)
        return _from_hub(entry, download=True)

    def is_prepared(self, entry: BaseModelEntry) -> bool:
        try:
            self.directory(entry)
        except FailedPrecondition:
            return False
        return True

    def facts(self, entry: BaseModelEntry) -> ModelFacts:
        """Sizes out of config.json, the entry's own word first.

        Raises:
            FailedPrecondition: the model is not here, or its config lacks a size.
        """
        try:
            config = json.loads((self.directory(entry) / "config.json").read_text(encoding="utf-8"))
        except ValueError as error:
            raise FailedPrecondition(f"Base model '{entry.id}': its config.json cannot be read: {error}.") from None
        if not isinstance(config, dict):
            raise FailedPrecondition(f"Base model '{entry.id}': its config.json is no object.")
        text = config.get("text_config") or config
        hidden = text.get("hidden_size") or text.get("n_embd") or text.get("d_model")
        context = entry.context_length or text.get("max_position_embeddings") or text.get("n_positions")
        if not hidden or not context:
            raise FailedPrecondition(
                f"Base model '{entry.id}': its config.json tells no hidden size or context length; "
                "set context_length in its catalog entry."
            )
        hidden = int(hidden)
        layers = int(text.get("num_hidden_layers") or text.get("n_layer") or 0)
        heads = int(text.get("num_attention_heads") or text.get("n_head") or 1)
        inner = int(text.get("intermediate_size") or text.get("n_inner") or 4 * hidden)
        shared = (text.get("num_key_value_heads") or heads) / heads
        each = 2 * hidden * hidden * (1 + shared) + 3 * hidden * inner
        return ModelFacts(
            hidden_size=hidden,
            context_length=int(context),
            layers=layers,
            heads=heads,
            inner_size=inner,
            parameters=int(layers * each + (text.get("vocab_size") or 0) * hidden),
        )

    def max_example_tokens(self, entry: BaseModelEntry) -> int:
        """Longest training example in tokens. Raises FailedPrecondition as ``facts`` does."""
        context_length = self.facts(entry).context_length
        return min(entry.max_example_tokens or context_length, context_length)


def _parse_entry(raw: Mapping[str, Any]) -> BaseModelEntry:
    try:
        entry = BaseModelEntry.model_validate(raw)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise InvalidArgument(f"Catalog entry '{raw.get('id', '?')}' is not valid: {problems}.") from None
    if entry.source.startswith("package:") and entry.source != _EMBEDDED_SOURCE:
        raise InvalidArgument(
            f"Catalog entry '{entry.id}' is not valid: source: the only package known is {_EMBEDDED_SOURCE}; use a "
            "Hugging Face id or a local folder."
        )
    allowed = {1, 2, 4, 8, 16, 32}
    if not set(entry.adapter_sizes) <= allowed or entry.default_adapter_size not in entry.adapter_sizes:
        raise InvalidArgument(
            f"Catalog entry '{entry.id}' is not valid: adapter sizes are among {sorted(allowed)}, "
            "and the default is one of the entry's own."
        )
    return entry


def _from_hub(entry: BaseModelEntry, *, download: bool) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(
            snapshot_download(
                entry.source,
                local_files_only=not download,
                allow_patterns=["*.json", "*.safetensors", "*.jinja", "tokenizer.model"],
            )
        )
    except (LocalEntryNotFoundError, HfHubHTTPError, ValueError, OSError) as error:
        if download:
            raise FailedPrecondition(f"Base model '{entry.id}' could not be brought from the hub: {error}") from None
        raise FailedPrecondition(
            f"Base model '{entry.id}' is not on this machine yet. Bring it with: sintonia base-models pull {entry.id}"
        ) from None
