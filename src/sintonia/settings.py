"""Every option of the server, once: from the command line, the environment or a TOML file; the only reader of both.

Precedence: command line, then ``SINTONIA_<NAME>`` in the environment, then the TOML file, then the default here.
Knows no other room but the errors.
"""

from __future__ import annotations

import os
import platform
import re
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from sintonia.errors import InvalidArgument

JsonTable = dict[str, Any]

TOML_ONLY = ("base_models", "aliases", "oidc_grants", "storage")
"""What is too long for a variable of the environment."""

# Plain http is for an issuer on this machine, whose keys nobody can exchange on their way.
_ISSUER = re.compile(r"(https://[^\s/?#@]+|http://(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?)(/[^\s?#@]*)?")

_STORAGE = ("AWS_", "BOTO_", "GOOGLE_", "CLOUDSDK_", "FSSPEC_")
_CLOUDS = ("SINTONIA_", "AZURE_", "PG", *_STORAGE)
_SECRET = re.compile(r"TOKEN(?!IZER)|SECRET|PASSW|PASSPHRASE|CREDENTIAL|(^|_)(KEY|APIKEY|AUTH)(_|$)|_(PWD|PAT)$", re.I)
_WITH_PASSWORD = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s@]*:[^/\s@]*@", re.I)


def _default_home() -> Path:
    base = os.environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "sintonia"


def default_cache() -> Path:
    """Where what can be made again lies, of all homes."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "sintonia"


def _all_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class OidcGrantTable(BaseModel):
    """Whoever has ``value`` in the claim has ``role`` in ``project``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    value: str = Field(min_length=1)
    project: str = Field(pattern=r"^(\*|[A-Za-z0-9][A-Za-z0-9.:_-]{0,62})$")
    role: Literal["viewer", "tuner", "admin"]


_FILES = ("tls_certificate", "tls_key", "grpc_certificate", "grpc_key")


class Settings(BaseModel):
    """What an operator may choose; ``docs/reference/settings.md`` shows the same list."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    home: Path = Field(default_factory=_default_home, description="database, buckets, runs and logs lie here")
    cache: Path = Field(default_factory=default_cache, description="converted base models, shared by all homes")
    host: str = Field(default="127.0.0.1", description="address to listen on; without sign-in loopback only")
    port: int = Field(default=8080, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    sign_in: bool = Field(
        default=False, description="ask everybody who they are: by an API token that 'sintonia tokens create' makes"
    )
    session_hours: float = Field(
        default=168.0, gt=0, le=8760, description="hours after which a browser has to sign in again, whatever it does"
    )
    session_idle_hours: float = Field(
        default=12.0,
        gt=0,
        le=8760,
        description="hours after which it has to where no page of the console has asked for anything",
    )
    tls_certificate: Path | None = Field(
        default=None, description="PEM file of the certificate for https; default: http without TLS"
    )
    tls_key: Path | None = Field(default=None, description="PEM file of that certificate's key")
    oidc_issuer: str | None = Field(
        default=None, description="URL of an OpenID issuer whose tokens sign in as well (the extra 'oidc')"
    )
    oidc_audience: str | None = Field(
        default=None, validate_default=True, description="what its tokens must be meant for, one of their 'aud'"
    )
    oidc_claim: str = Field(
        default="groups", min_length=1, description="claim whose values oidc_grants name; dots lead into nested claims"
    )
    oidc_grants: list[OidcGrantTable] = Field(
        default_factory=list, validate_default=True, description="who has which role in which project; TOML only"
    )
    grpc_port: int | None = Field(
        default=None, ge=0, le=65535, description="port for gRPC as well (the extra 'grpc'); 0 takes a free one"
    )
    grpc_security: str = Field(default="tls", pattern="^(tls|plaintext)$", description="how gRPC is spoken")
    grpc_certificate: Path | None = Field(
        default=None, description="the same for gRPC; default: that for https, else what 'sintonia certs create' made"
    )
    grpc_key: Path | None = Field(default=None, description="PEM file of that certificate's key")
    database_url: str | None = Field(
        default=None, description="SQLAlchemy URL such as postgresql+psycopg://user@host/db; default: SQLite in home"
    )
    training_slots: int = Field(default=1, ge=1, description="tuning jobs that train at the same time")
    training_threads: int = Field(
        default_factory=_all_cores, ge=1, description="CPU threads of a trainer; default: all cores"
    )
    dataset_processes: int = Field(
        default_factory=lambda: min(_all_cores(), 8),
        ge=1,
        description="processes that read a large dataset together; default: one a core, 8 at most",
    )
    prepared_bytes: int = Field(
        default=8 * 2**30,
        ge=0,
        description="what prepared datasets may take in home, so that one that is tuned on again is not read again",
    )
    training_processes: int | None = Field(
        default=None, ge=1, description="processes that train a job together; default: one for each GPU, else one"
    )
    training_hang_seconds: float = Field(
        default=1800.0, gt=0, description="a trainer that gets nothing done for so long is ended and its job failed"
    )
    serving_threads: int = Field(
        default_factory=_all_cores, ge=1, description="CPU threads of an inference engine; default: all cores"
    )
    max_engines: int = Field(default=2, ge=1, description="base models that are kept loaded for serving")
    device: str = Field(default="auto", pattern="^(auto|cpu|cuda)$", description="where to train and serve")
    compile_training: str = Field(
        default="auto",
        pattern="^(auto|always|never)$",
        description="whether a model is compiled to be trained; auto: on a CPU, for jobs of some minutes and more; "
        "never: nothing is compiled, native kernels included",
    )
    precision: str = Field(
        default="auto",
        pattern="^(auto|bfloat16|float32)$",
        description="auto: bfloat16 where the hardware computes in it, else float32",
    )
    default_max_output_tokens: int = Field(
        default=1024, ge=1, description="tokens a reply may have when the request does not say"
    )
    resume_checkpoint_seconds: float = Field(
        default=30.0, gt=0, description="seconds between the trainer's own checkpoints, from which a killed job goes on"
    )
    max_request_bytes: int = Field(default=32 * 2**20, ge=1024, description="largest JSON body of a request")
    max_header_bytes: int = Field(
        default=2**16, ge=1024, description="largest head of a request: its address with all headers"
    )
    header_timeout_seconds: float = Field(
        default=10.0, gt=0, description="seconds until the head of a request must be whole"
    )
    body_timeout_seconds: float = Field(
        default=60.0, gt=0, description="seconds that may pass between two pieces of a body or of an answer taken"
    )
    max_connections: int = Field(default=500, ge=1, description="connections that may be open at the same time")
    lease_seconds: float = Field(
        default=10.0, gt=0, description="how long a job waits for a controller that was killed before another takes it"
    )
    gs: Literal["embedded", "google"] = Field(default="embedded", description="whose buckets gs:// addresses mean")
    storage: list[JsonTable] = Field(
        default_factory=list, description="places outside the embedded buckets that projects may use; TOML only"
    )
    base_models: list[JsonTable] = Field(default_factory=list, description="catalog entries; TOML only")
    aliases: dict[str, str] = Field(
        default_factory=dict, description="names that stand for a base model, as NAME = ID; TOML only"
    )

    @field_validator("oidc_issuer")
    @classmethod
    def _check_issuer(cls, issuer: str | None) -> str | None:
        if issuer is not None and not _ISSUER.fullmatch(issuer):
            raise ValueError("should be an https URL without a query, such as https://id.example.com/realms/team")
        return issuer

    @field_validator("oidc_audience")
    @classmethod
    def _check_audience(cls, audience: str | None, info: ValidationInfo) -> str | None:
        if info.data.get("oidc_issuer") and not audience:
            raise ValueError("is required beside oidc_issuer, or tokens for other programs would sign in here")
        return audience

    @field_validator("oidc_grants")
    @classmethod
    def _check_grants(cls, grants: list[OidcGrantTable], info: ValidationInfo) -> list[OidcGrantTable]:
        if info.data.get("oidc_issuer") and not grants:
            raise ValueError("is required beside oidc_issuer, or nobody who signs in so may do anything")
        return grants

    @classmethod
    def load(cls, *, config: Path | None = None, **given: Any) -> Settings:
        """Settings from all sources.

        Args:
            config: the TOML file; None means ``SINTONIA_CONFIG``, else ``sintonia.toml`` in home if it is there.
            given: what the command line says; None counts as not said.

        Raises:
            InvalidArgument: a value or a name is wrong; names the option and its source.
        """
        chosen = {name: value for name, value in given.items() if value is not None}
        environment: JsonTable = {}
        for name in cls.model_fields:
            value = os.environ.get(f"SINTONIA_{name.upper()}")
            if value and name not in TOML_ONLY:
                environment[name] = value
        home = Path(chosen.get("home") or environment.get("home") or _default_home()).expanduser()
        named = config or (Path(os.environ["SINTONIA_CONFIG"]) if os.environ.get("SINTONIA_CONFIG") else None)
        file = named or home / "sintonia.toml"
        from_file = _read_toml(file) if named or file.is_file() else {}
        from_file |= {name: _beside(file, from_file[name]) for name in _FILES if name in from_file}
        try:
            settings = cls.model_validate({**from_file, **environment, **chosen})
        except ValidationError as error:

            def source(name: str) -> str:
                if name in chosen:
                    return "from the command line"
                return f"from SINTONIA_{name.upper()}" if name in environment else f"in {file}"

            problems = "; ".join(
                f"{'.'.join(map(str, item['loc']))}: {item['msg'].removeprefix('Value error, ')} "
                f"({source(str(item['loc'][0]))})"
                for item in error.errors()
            )
            raise InvalidArgument(f"Settings are not valid: {problems}.") from None
        return settings.model_copy(
            update={
                "home": settings.home.expanduser().absolute(),
                "cache": settings.cache.expanduser().absolute(),
                "base_models": [_resolve_source(entry, file.parent) for entry in settings.base_models],
            }
        )

    @property
    def database(self) -> str:
        return self.database_url or f"sqlite+aiosqlite:///{self.home / 'sintonia.db'}"

    @property
    def audit_file(self) -> Path:
        return self.logs_dir / "audit.jsonl"

    @property
    def tls_files(self) -> tuple[Path, Path] | None:
        """Certificate and key for https, if it shall be spoken."""
        return _files(self.tls_certificate, self.tls_key, "tls")

    @property
    def grpc_tls_files(self) -> tuple[Path, Path]:
        """Certificate and key for gRPC over TLS."""
        made = self.certificates_dir / "server.pem", self.certificates_dir / "server.key"
        return _files(self.grpc_certificate, self.grpc_key, "grpc") or self.tls_files or made

    @property
    def grpc_speaks_tls(self) -> bool:
        """Whether no gRPC is spoken without TLS."""
        return self.grpc_port is None or self.grpc_security == "tls"

    @property
    def certificates_dir(self) -> Path:
        return self.home / "certs"

    @property
    def buckets_dir(self) -> Path:
        return self.home / "buckets"

    @property
    def runs_dir(self) -> Path:
        return self.home / "runs"

    @property
    def validations_dir(self) -> Path:
        return self.home / "validations"

    @property
    def prepared_dir(self) -> Path:
        return self.home / "prepared"

    @property
    def logs_dir(self) -> Path:
        return self.home / "logs"


def _files(certificate: Path | None, key: Path | None, what: str) -> tuple[Path, Path] | None:
    if certificate and key:
        return certificate.expanduser(), key.expanduser()
    if certificate or key:
        missing = "key" if certificate else "certificate"
        raise InvalidArgument(f"Setting {what}_{missing} is not set: a certificate and its key are named together.")
    return None


def child_environment(*, storage_credentials: bool = False) -> dict[str, str]:
    """The environment of this process without what looks like a secret, for processes that read what others wrote.

    Args:
        storage_credentials: keep those of object stores.
    """

    def may_go(name: str, value: str) -> bool:
        if storage_credentials and (name.startswith(_STORAGE) or name.upper().endswith("_PROXY")):
            return True
        return not (name.startswith(_CLOUDS) or _SECRET.search(name) or _WITH_PASSWORD.match(value))

    return {name: value for name, value in os.environ.items() if may_go(name, value)}


def compute_environment(threads: int) -> dict[str, str]:
    """``child_environment`` for a process that computes with torch on ``threads`` threads.

    They wait for each other for some tens of microseconds before they sleep: without, each of the thousands of small
    parallel pieces of a step costs a wake-up (a third of the speed on two cores); much longer, and several such
    processes would hold up each other by waiting (see docs/explanation/performance.md).
    """
    chosen = {
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "GOMP_SPINCOUNT": "3000",  # GNU's OpenMP, which torch brings
        "KMP_BLOCKTIME": "0",  # Intel's, in milliseconds
        "TOKENIZERS_PARALLELISM": "false",
    }
    return {**child_environment(), **chosen}


def training_environment(threads: int) -> dict[str, str]:
    """``compute_environment`` for a trainer, which keeps memory that it will soon take again.

    Steps differ in size. What a small one gives back to the system, the next large one gets anew page by page, each
    filled with zeros: 4 % of the time on two cores.
    """
    library, version = platform.libc_ver()
    keeping = {}
    # Before 2.35 the second is refused, and the first then does harm: each large tensor would be fresh memory.
    if library == "glibc" and tuple(map(int, version.split("."))) >= (2, 35):
        keeping["GLIBC_TUNABLES"] = "glibc.malloc.trim_threshold=4294967296:glibc.malloc.mmap_threshold=4294967296"
    return {**keeping, **compute_environment(threads)}


def _read_toml(file: Path) -> JsonTable:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InvalidArgument(f"Settings file '{file}' does not exist.") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidArgument(f"Settings file '{file}' cannot be read: {error}.") from None


def _beside(file: Path, value: Any) -> Any:
    """A relative path in the settings file is meant from its folder."""
    return str(file.absolute().parent / Path(value).expanduser()) if isinstance(value, str) else value


def _resolve_source(entry: JsonTable, folder: Path) -> JsonTable:
    """A source written as a relative path is meant from the folder of the settings file."""
    source = entry.get("source")
    if isinstance(source, str) and source.startswith(("./", "../", "~")):
        return {**entry, "source": str((folder / Path(source).expanduser()).resolve())}
    return entry
