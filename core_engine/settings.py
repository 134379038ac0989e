"""The settings of a command as one frozen value, and the table that says where each may come from.

Read once, in `cli`, from flags > environment > `kg.toml` > `.env` > defaults. Nothing below reads the environment.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from core_engine.errors import SettingsError
from core_engine.trial import Way, ways
from core_engine.types import Payer

_PLAIN_HOST = re.compile(r"(\[[^\]]*\]|[^:]*)(:\d*)?")  # with or without a port
WORKSPACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_TAG = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,63}")
_LONGEST_TAG = 200  # characters of a value
_MOST_TAGS = 20


def _option(default: Any, *env: str, choices: tuple[str, ...] = ()) -> Any:
    """A setting with an option of its own on the command line."""
    return field(default=default, metadata={"env": env, "choices": choices, "option": True})


def _setting(default: Any, *env: str, secret: bool = False, choices: tuple[str, ...] = ()) -> Any:
    """One for the environment and kg.toml alone."""
    return field(default=default, repr=not secret, metadata={"env": env, "secret": secret, "choices": choices})


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings. Each may also be set as KG_<NAME> in the environment, and as `name` in kg.toml.

    Sizes in characters, times in seconds, limits a minute, money in US dollars.
    """

    workspace: str = _option("default")
    home: str = _option(".kg")
    output_dir: str | None = _option(None)
    log_file: str | None = _option(None)

    max_concurrent: int = _option(20)
    batch_size: int = _option(10)
    chunk_size: int = _option(1200)
    clean: bool = _option(True)
    rpm: float | None = _option(None)
    tpm: float | None = _option(None)
    embedding_rpm: float | None = _option(None)
    embedding_tpm: float | None = _option(None)

    extractor: str = _option("auto", choices=("auto", "openai", "rules"))
    embedder: str = _option("auto", choices=("auto", "openai", "bm25", "none"))
    no_model: bool = _option(False)
    model: str = _option("gpt-5-mini")
    embedding_model: str = _option("text-embedding-3-small")
    dimensions: int | None = _option(None)
    base_url: str | None = _option(None, "OPENAI_BASE_URL")
    embedding_base_url: str | None = _option(None)
    api_key: str | None = _setting(None, "OPENAI_API_KEY", secret=True)
    embedding_api_key: str | None = _setting(None, secret=True)
    temperature: float = _option(0.0)
    reasoning_effort: str = _option("low")
    seed: int | None = _setting(None)
    service_tier: str = _option("auto", choices=("auto", "default", "flex", "priority"))
    prompt_cache_key: bool | None = _setting(None)
    batch_api: bool = _option(False)
    batch_poll: float = _setting(60.0)
    timeout: float | None = _option(None)
    retries: int = _option(6)
    resolve: str = _option("auto", choices=("auto", "none", "rules", "model"))
    prompt: str | None = _option(None)
    prompt_variants: str | None = _option(None)
    model_variants: str | None = _option(None)
    split: str | None = _option(None)
    models: Mapping[str, str] = field(default_factory=dict, metadata={"env": ()})
    ontology: str | None = _option(None)
    keep_unsupported: bool = _option(False)
    prices: str | None = _option(None)

    graph_store: str = _option("auto", choices=("auto", "embedded", "neo4j", "none"))
    vector_store: str = _option("auto", choices=("auto", "embedded", "qdrant", "none"))
    neo4j_uri: str | None = _setting(None, "NEO4J_URI")
    neo4j_username: str = _setting("neo4j", "NEO4J_USERNAME")
    neo4j_password: str | None = _setting(None, "NEO4J_PASSWORD", secret=True)
    neo4j_database: str | None = _setting(None, "NEO4J_DATABASE")
    neo4j_embeddings: bool = _option(False)
    qdrant_url: str | None = _setting(None, "QDRANT_URL")
    qdrant_api_key: str | None = _setting(None, "QDRANT_API_KEY", secret=True)
    qdrant_grpc: bool = _option(False)
    qdrant_grpc_port: int = _setting(6334)

    projector: str = _setting("auto", choices=("auto", "thread", "process"))
    grace: float = _option(60.0)
    wait: float | None = _option(None)
    defer_writes: bool = _option(False)
    max_cost: float | None = _option(None)
    confirm_above: float = _option(1.0)
    persona: str | None = _option(None)
    stage_personas: Mapping[str, str] = field(default_factory=dict, metadata={"env": ()})
    path_personas: Mapping[str, str] = field(default_factory=dict, metadata={"env": ()})
    tags: Mapping[str, str] = field(default_factory=dict, metadata={"env": ()})
    budget: Mapping[str, Any] = field(default_factory=dict, metadata={"env": ()})
    quota: Mapping[str, Any] = field(default_factory=dict, metadata={"env": ()})
    alert_command: str | None = _setting(None, secret=True)
    alert_webhook: str | None = _setting(None, secret=True)
    retention_days: int = _setting(90)
    archive: str | None = _setting(None)
    prom_textfile: str | None = _option(None)
    pushgateway: str | None = _option(None)
    yes: bool = _option(False)

    trace_content: str = _option("none", choices=("none", "prompts", "replies", "both"))
    trace_mask: bool = _option(False)
    trace_sample: float = _option(1.0)
    langsmith_tracing: str = _setting("", "LANGSMITH_TRACING", "LANGSMITH_TRACING_V2", "LANGCHAIN_TRACING_V2")
    langsmith_api_key: str | None = _setting(None, "LANGSMITH_API_KEY", "LANGCHAIN_API_KEY", secret=True)
    langsmith_endpoint: str = _setting("https://api.smith.langchain.com", "LANGSMITH_ENDPOINT", "LANGCHAIN_ENDPOINT")
    langsmith_project: str = _setting("kg", "LANGSMITH_PROJECT", "LANGCHAIN_PROJECT")
    langsmith_workspace_id: str = _setting("", "LANGSMITH_WORKSPACE_ID")
    langsmith_hide_inputs: str = _setting("", "LANGSMITH_HIDE_INPUTS", "LANGCHAIN_HIDE_INPUTS")
    langsmith_hide_outputs: str = _setting("", "LANGSMITH_HIDE_OUTPUTS", "LANGCHAIN_HIDE_OUTPUTS")
    langsmith_hide_metadata: str = _setting("", "LANGSMITH_HIDE_METADATA", "LANGCHAIN_HIDE_METADATA")
    langfuse_public_key: str | None = _setting(None, "LANGFUSE_PUBLIC_KEY", secret=True)
    langfuse_secret_key: str | None = _setting(None, "LANGFUSE_SECRET_KEY", secret=True)
    langfuse_host: str = _setting("https://cloud.langfuse.com", "LANGFUSE_HOST", "LANGFUSE_BASE_URL")
    posthog_api_key: str | None = _setting(None, "POSTHOG_API_KEY", "POSTHOG_PROJECT_API_KEY", secret=True)
    posthog_host: str = _setting("https://us.i.posthog.com", "POSTHOG_HOST")
    phoenix_endpoint: str | None = _setting(None, "PHOENIX_COLLECTOR_ENDPOINT")
    phoenix_api_key: str | None = _setting(None, "PHOENIX_API_KEY", secret=True)
    otlp_endpoint: str | None = _setting(None, "OTEL_EXPORTER_OTLP_ENDPOINT")
    otlp_traces_endpoint: str | None = _setting(None, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    otlp_headers: str | None = _setting(
        None, "OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS", secret=True
    )
    otlp_protocol: str = _setting("http/protobuf", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
    otel_resource_attributes: str = _setting("", "OTEL_RESOURCE_ATTRIBUTES")
    otel_service_name: str = _setting("kg", "OTEL_SERVICE_NAME")
    otel_sdk_disabled: str = _setting("", "OTEL_SDK_DISABLED")
    headers: Mapping[str, str] = field(default_factory=dict, repr=False, metadata={"secret": True, "env": ()})

    def __post_init__(self) -> None:
        if not WORKSPACE.fullmatch(self.workspace):
            raise SettingsError(
                f"--workspace {self.workspace!r} can't be a name: letters, digits, '.', '_' and '-', 64 at most, "
                "beginning with a letter or digit"
            )
        if self.persona is not None:
            _check_persona("--persona", self.persona)
        for stage, persona in self.stage_personas.items():
            if stage not in STAGES:
                raise SettingsError(f"stage_personas.{stage}: choose one of {', '.join(STAGES)}")
            _check_persona(f"stage_personas.{stage}", persona)
        for pattern, persona in self.path_personas.items():
            _check_persona(f"path_personas.{pattern!r}", persona)
        _check_tags(self.tags)
        _check_command(self.alert_command)
        for item in fields(self):
            choices = item.metadata.get("choices")
            value = getattr(self, item.name)
            if choices and value not in choices:
                raise SettingsError(f"{flag(item.name)} {value!r}: choose one of {', '.join(choices)}")
        for name, least, most in _RANGES:
            value = getattr(self, name)
            if value is not None and not least <= value <= most:
                raise SettingsError(f"{flag(name)} must be between {least:g} and {most:g}, and is {value:g}")
        if unknown := self.models.keys() - set(STAGES):
            raise SettingsError(f"models.{min(unknown)}: choose one of {', '.join(sorted(STAGES))}")
        for name, schemes in _URLS:
            _check_url(flag(name), getattr(self, name), schemes)
        if self.trial and self.batch_api:
            raise SettingsError("--batch-api has no variants: try them without it, on a part (--limit)")
        if self.batch_api and self.service_tier != "auto":
            raise SettingsError("--batch-api has a price of its own: leave out --service-tier")

    # --- what "auto" means ------------------------------------------------------------------------------------------

    @property
    def timeout_used(self) -> float:
        """Seconds for one reply; the flex tier takes its time."""
        return self.timeout or (_TIMEOUT_FLEX_S if self.service_tier == "flex" else _TIMEOUT_S)

    @property
    def extractor_used(self) -> str:
        """Openai | rules."""
        if self.no_model:
            return "rules"
        if self.extractor != "auto":
            return self.extractor
        return "openai" if self.api_key or self.base_url else "rules"

    @property
    def embedder_used(self) -> str:
        """Openai | bm25 | none. Sparse vectors are always written beside dense ones."""
        if self.no_model and self.embedder != "none":
            return "bm25"
        if self.embedder != "auto":
            return self.embedder
        reachable = self.api_key or self.base_url or self.embedding_base_url or self.embedding_api_key
        return "openai" if reachable else "bm25"

    @property
    def graph_store_used(self) -> str:
        """Embedded | neo4j | none."""
        if self.graph_store != "auto":
            return self.graph_store
        return "neo4j" if self.neo4j_uri else "embedded"

    @property
    def vector_store_used(self) -> str:
        """Embedded | qdrant | none."""
        if self.vector_store != "auto":
            return self.vector_store
        if self.embedder_used == "none":
            return "none"
        return "qdrant" if self.qdrant_url else "embedded"

    @property
    def resolve_used(self) -> str:
        """None | rules | model: whether names are merged, and whether a model is asked about the doubtful ones."""
        if self.resolve != "auto":
            return "rules" if self.no_model and self.resolve == "model" else self.resolve
        return "model" if self.extractor_used == "openai" else "rules"

    @property
    def resolve_applied(self) -> str:
        """As `resolve_used`, but what a model has answered before counts also where none is asked today."""
        return self.resolve_used if self.resolve != "auto" else "model"

    @property
    def may_ask(self) -> bool:
        """There is somewhere to send a chat request to."""
        return bool(self.api_key or self.base_url)

    def model_of(self, stage: str) -> str:
        """The chat model of a stage: extract | resolve. `[models]` is read into `model` where that is what counts."""
        return self.models.get(stage, self.model) if stage != "extract" else self.model

    @property
    def trial(self) -> tuple[Way, ...]:
        """The prompts or models that are compared in this run; () for one of each."""
        return ways(self.model, self.prompt, self.model_variants, self.prompt_variants, self.split)

    @property
    def payer(self) -> Payer:
        """Who the calls are for."""
        return Payer(self.persona or "", self.stage_personas, self.tags, self.workspace, self.path_personas)

    @property
    def asks_models(self) -> bool:
        """Something is asked over the network."""
        return self.extractor_used == "openai" or self.embedder_used == "openai"

    # --- where things lie -------------------------------------------------------------------------------------------

    @property
    def folder(self) -> Path:
        """The workspace's folder."""
        return Path(self.home) / self.workspace

    @property
    def ledger_path(self) -> Path:
        return self.folder / "ledger.sqlite3"

    @property
    def lock_path(self) -> Path:
        return self.folder / "lock"

    def run_folder(self, run: str) -> Path:
        return Path(self.output_dir) / run if self.output_dir else self.folder / "runs" / run

    @property
    def secrets(self) -> list[str]:
        """What a log has to take out wherever it turns up."""
        secret = [getattr(self, item.name) for item in fields(self) if item.metadata.get("secret")]
        return [
            each for value in secret for each in (value.values() if isinstance(value, Mapping) else [value]) if each
        ]

    def shown(self) -> dict[str, Any]:
        """All settings as they may be shown: secrets as `set` or None, URLs without credentials."""
        shown: dict[str, Any] = {}
        for item in fields(self):
            value = getattr(self, item.name)
            if item.metadata.get("secret"):
                value = "set" if value else None
            elif isinstance(value, str) and "://" in value:
                value = without_credentials(value)
            shown[item.name] = value
        return shown


STAGES = ("extract", "embed", "resolve")  # in which models are asked, each of which may have a model of its own

_TIMEOUT_S, _TIMEOUT_FLEX_S = 120.0, 900.0
_RANGES: tuple[tuple[str, float, float], ...] = (
    ("max_concurrent", 1, 1000),
    ("batch_size", 1, 20),
    ("chunk_size", 100, 100_000),
    ("rpm", 0.001, 1e12),
    ("tpm", 0.001, 1e12),
    ("embedding_rpm", 0.001, 1e12),
    ("embedding_tpm", 0.001, 1e12),
    ("temperature", 0, 2),
    ("batch_poll", 0.01, 3_600),
    ("timeout", 0.1, 86_400),
    ("retries", 0, 100),
    ("dimensions", 1, 65_536),
    ("qdrant_grpc_port", 1, 65_535),
    ("grace", 0, 86_400),
    ("wait", 0, 1e9),
    ("max_cost", 0, 1e9),
    ("confirm_above", 0, 1e9),
    ("retention_days", 0, 36_500),
    ("trace_sample", 0, 1),
)
_URLS = (
    ("base_url", ("http", "https")),
    ("embedding_base_url", ("http", "https")),
    ("qdrant_url", ("http", "https")),
    ("alert_webhook", ("http", "https")),
    ("pushgateway", ("http", "https")),
    ("neo4j_uri", ("bolt", "bolt+s", "bolt+ssc", "neo4j", "neo4j+s", "neo4j+ssc")),
)


def flag(name: str) -> str:
    """The option's name as the user types it, or the environment's where it has no option."""
    metadata = Settings.__dataclass_fields__[name].metadata
    if metadata.get("option"):
        return "--" + name.replace("_", "-")
    return next(iter(metadata["env"]), f"KG_{name.upper()}")


def without_credentials(url: str) -> str:
    """The URL without user, password and query. A password may hold an @ or, wrongly, a slash."""
    before, sign, rest = url.partition("://")
    host = re.split("[/?#]", rest, maxsplit=1)[0]
    if "@" in host or not _PLAIN_HOST.fullmatch(host):
        rest = rest.rpartition("@")[2]
    return (before + sign + rest if sign else url.rpartition("@")[2]).partition("?")[0]


def _check_persona(name: str, persona: str) -> None:
    if not WORKSPACE.fullmatch(persona):
        raise SettingsError(f"{name} {persona!r} can't be a name: the same signs as in a workspace's")


def _check_command(command: str | None) -> None:
    try:
        empty = command is not None and not shlex.split(command)
    except ValueError as error:
        raise SettingsError(f"KG_ALERT_COMMAND {command!r} can't be read: {error}") from error
    if empty:
        raise SettingsError("KG_ALERT_COMMAND says nothing to run")


def _check_tags(tags: Mapping[str, str]) -> None:
    if len(tags) > _MOST_TAGS:
        raise SettingsError(f"--tag: {len(tags)} tags are too many: {_MOST_TAGS} at most")
    for name, value in tags.items():
        if not _TAG.fullmatch(name):
            raise SettingsError(
                f"--tag {name!r} can't be a name: letters, digits, '.', '_' and '-', 64 at most, beginning with a letter"
            )
        if not value or len(value) > _LONGEST_TAG or not value.isprintable():
            raise SettingsError(
                f"--tag {name}: {value[:_LONGEST_TAG]!r} can't be a value: {_LONGEST_TAG} printable characters at most, and one at least"
            )


def _check_url(name: str, url: str | None, schemes: tuple[str, ...]) -> None:
    if url is None:
        return
    try:
        parts = urlsplit(url)
        good = parts.scheme in schemes and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        good = False
    if not good:
        raise SettingsError(
            f"{name}: {without_credentials(url)!r} is no address: it should look like {schemes[0]}://host:port"
        )
