"""Puts the concrete parts together: the one place that knows which class stands behind which port."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.limits import limits_of
from core_engine.errors import SettingsError
from core_engine.keys import Spec
from core_engine.kg.deriving import AnswerDeriver
from core_engine.kg.extractor import Extractor, ModelExtractor, RulesExtractor, TrialExtractor
from core_engine.kg.ontology import Ontology
from core_engine.kg.prompt import ExtractionPrompt
from core_engine.kg.rules.extractor import RULES_VERSION
from core_engine.ledger import calls, documents, questions
from core_engine.ledger.ledger import Ledger, LedgerBase
from core_engine.ledger.lock import held
from core_engine.limits.rate_limiter import RateLimiter
from core_engine.pipeline import Batches, Pipeline, Works
from core_engine.planner import Asked, Plan, Planner, Variant
from core_engine.ports import GraphStore, Observer, VectorStore
from core_engine.progress import Progress
from core_engine.projector import Projector
from core_engine.readers.presence import storable
from core_engine.session import Follower
from core_engine.settings import Settings
from core_engine.stopping import Stop
from core_engine.types import Usage, VectorKind, processing_of
from metrics.account import Account
from metrics.alerts import in_words
from metrics.budget import RunBudget
from metrics.caps import Caps
from metrics.estimate import Forecast, Forecasts, Limits, Tallied, Tally
from metrics.prices import Prices, Processed

if TYPE_CHECKING:
    from core_engine.embeddings.stores.qdrant import QdrantVectorStore
    from core_engine.llm.asker import Asker, Office
    from core_engine.llm.client import Capabilities, Client, Endpoint

log = logging.getLogger("kg.alerts")

# The sizes of vectors that are known before the first reply.
KNOWN_DIMENSIONS = {"text-embedding-3-small": 1536, "text-embedding-3-large": 3072, "text-embedding-ada-002": 1536}
_MUCH = 1_000_000  # bytes of transcripts, about a thousand chunks: below, a process takes longer to start than it saves
_RULES_BATCH = 100  # chunks a step; rules have no requests to size
_REMEMBERED = 5_000  # replies of earlier runs, whose lengths say how much room the next ones need
_MEASURED_EVERY = 8  # batches: an eighth of the work, and still within a per cent of measuring all


@dataclass(slots=True)
class Parts:
    """Everything a run consists of."""

    ledger: Ledger
    pipeline: Works
    projector: Follower
    limiter: RateLimiter
    prices: Prices
    progress: Progress
    clients: list[Client]
    asked: Asked
    names: dict[str, str]
    forecast: Forecasts
    prompts: Sequence[ExtractionPrompt] = ()  # where a model extracts: one, or those on trial
    budget: RunBudget | None = None  # where nothing is asked of a model, nothing can be spent

    async def close(self) -> None:
        for client in self.clients:
            await client.close()
        if self.budget:
            self.budget.close()

    def stepped_down(self) -> dict[str, str]:
        """What the servers did not take, in words, by endpoint and model."""
        said = {}
        for client in self.clients:
            if words := client.capabilities.said():
                said[f"{client.endpoint.label} {client.endpoint.model}"] = words
        return said


def ontology_of(settings: Settings) -> Ontology:
    return Ontology.load(Path(settings.ontology)) if settings.ontology else Ontology.default()


def prices_of(settings: Settings) -> Prices:
    chat = settings.base_url or ""
    endpoints = {"extract": chat, "resolve": chat, "embed": settings.embedding_base_url or chat}
    return Prices(
        Path(settings.prices) if settings.prices else None, endpoints={k: v for k, v in endpoints.items() if v}
    )


def graph_store_of(settings: Settings) -> GraphStore | None:
    used = settings.graph_store_used
    if used == "none":
        return None
    if used == "embedded":
        from core_engine.kg.stores.embedded import EmbeddedGraphStore

        return EmbeddedGraphStore(settings.folder / "graph.sqlite3", settings.workspace)
    if not settings.neo4j_uri:
        raise SettingsError("--graph-store neo4j needs the server's address in NEO4J_URI, like bolt://localhost:7687")
    from core_engine.kg.stores.neo4j import Neo4jGraphStore

    return Neo4jGraphStore(
        settings.neo4j_uri,
        settings.neo4j_username,
        settings.neo4j_password or "",
        settings.neo4j_database or "neo4j",
        settings.workspace,
    )


def vector_store_of(settings: Settings, dimensions: int | None) -> VectorStore | None:
    """`dimensions` of the dense vectors; None for sparse ones alone."""
    used = settings.vector_store_used
    model = settings.embedding_model if dimensions else None
    if used == "none":
        return None
    if used == "embedded":
        from core_engine.embeddings.stores.edge import EdgeVectorStore

        return EdgeVectorStore(settings.folder / "vectors", dimensions, model)
    return qdrant_of(settings, dimensions, model)


def qdrant_of(settings: Settings, dimensions: int | None, model: str | None) -> QdrantVectorStore:
    if not settings.qdrant_url:
        raise SettingsError(
            "--vector-store qdrant needs the server's address in QDRANT_URL, like http://localhost:6333"
        )
    if settings.qdrant_grpc:
        # Its library writes on stderr what its errors say too. It looks at this when it is loaded.
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    from core_engine.embeddings.stores.qdrant import QdrantVectorStore

    return QdrantVectorStore(
        settings.qdrant_url,
        settings.qdrant_api_key,
        f"kg_{settings.workspace}",
        dimensions,
        model,
        grpc_port=settings.qdrant_grpc_port if settings.qdrant_grpc else None,
    )


def prompt_of(settings: Settings, name: str | None = None) -> ExtractionPrompt:
    """The prompt of this name or file; None: the one that the settings name, or ours."""
    name = name or settings.prompt
    ontology = ontology_of(settings)
    return ExtractionPrompt.named(name, ontology) if name else ExtractionPrompt(ontology)


def ways_of(settings: Settings) -> list[tuple[str, ExtractionPrompt]]:
    """Model and prompt of the extraction, or of each of the ways on trial. Raises SettingsError."""
    if not settings.trial:
        return [(settings.model, prompt_of(settings))]
    if settings.extractor_used != "openai":
        raise SettingsError("variants are of models and their prompts: give OPENAI_API_KEY or --base-url")
    ways = [(way.model, prompt_of(settings, way.prompt)) for way in settings.trial]
    if len({(model, prompt.version) for model, prompt in ways}) < len(ways):
        raise SettingsError("--prompt-variants: two of them are one and the same prompt: there is nothing to compare")
    return ways


def specs_of(settings: Settings, model: str, prompt: ExtractionPrompt) -> tuple[Spec, Spec | None]:
    """What is asked besides the chunks: of the extractor, and of the embedder if it is a model."""
    if settings.extractor_used == "openai":
        description = {"prompt": prompt.version, **_chat_settings(settings, model)}
        extract = Spec("extract", description, prompt.spec_text)
    else:
        extract = Spec("rules", {"version": RULES_VERSION})
    return extract, embed_spec_of(settings)


def embed_spec_of(settings: Settings) -> Spec | None:
    """What is asked of the embedder besides the texts; None where it is no model."""
    if settings.embedder_used != "openai":
        return None
    return Spec("embed", {"model": settings.embedding_model, "dimensions": settings.dimensions})


def resolve_spec(settings: Settings) -> Spec:
    """What is asked besides the pair of names."""
    from core_engine.kg.resolver.question import VERSION, system_prompt

    return Spec(
        "resolve", {"prompt": VERSION, **_chat_settings(settings, settings.model_of("resolve"))}, system_prompt()
    )


def _chat_settings(settings: Settings, model: str) -> dict[str, str | int | float | None]:
    return {
        "model": model,
        "temperature": settings.temperature,
        "reasoning_effort": settings.reasoning_effort,
        "seed": settings.seed,
    }


def asked_of(settings: Settings, ways: Sequence[tuple[str, ExtractionPrompt]], ledger: LedgerBase) -> Asked:
    """What is asked, with its numbers in the ledger."""
    variants = []
    for at, (model, prompt) in enumerate(ways):
        extract, embed = specs_of(settings, model, prompt)
        until = settings.trial[at].until if settings.trial else 1.0
        variants.append(Variant(extract, ledger.write(questions.spec_no, extract, prompt.name), until))
    first = variants[0]
    embed_no = ledger.write(questions.spec_no, embed) if embed else None
    return Asked(first.extract, first.extract_no, embed, embed_no, tuple(variants) if settings.trial else ())


def endpoint_of(settings: Settings, stage: str, model: str | None = None) -> Endpoint:
    """Where and how a stage's model is asked; `model` in place of the settings' own."""
    from core_engine.llm.client import Endpoint

    embed = stage == "embed"
    return Endpoint(
        base_url=(settings.embedding_base_url if embed else None) or settings.base_url,
        model=model or (settings.embedding_model if embed else settings.model_of(stage)),
        key=(settings.embedding_api_key if embed else None) or settings.api_key or "",
        headers=settings.headers,
        temperature=settings.temperature,
        reasoning_effort=settings.reasoning_effort or None,
        seed=settings.seed,
        service_tier=None if embed or settings.service_tier == "auto" else settings.service_tier,
        dimensions=settings.dimensions if embed else None,
        timeout_s=settings.timeout_used,
        cache_key=settings.prompt_cache_key,
    )


def wire(
    settings: Settings,
    plan: Plan,
    ledger: Ledger,
    run: str,
    progress: Progress,
    observers: Sequence[Observer],
    stop: Stop,
    *,
    collect: bool = True,
) -> Parts:
    """All parts of a run, chosen by the settings. Nothing is opened or sent yet. Call it on the event loop.

    `collect`: whether Batch jobs are waited for.
    """
    if settings.resolve == "model" and not (settings.may_ask or settings.no_model):
        raise SettingsError("--resolve model needs a model to ask: give OPENAI_API_KEY or --base-url")
    ways = ways_of(settings)
    asked = asked_of(settings, ways, ledger)
    extract_spec, embed_spec = asked.extract, asked.embed
    limiter = RateLimiter(
        rpm=settings.rpm, tpm=settings.tpm, embedding_rpm=settings.embedding_rpm, embedding_tpm=settings.embedding_tpm
    )
    prices = prices_of(settings)
    dimensions = dimensions_of(settings, ledger, asked.embed_no) if embed_spec else None
    if settings.neo4j_embeddings and (dimensions is None or settings.graph_store_used != "neo4j"):
        raise SettingsError(
            "--neo4j-embeddings needs a Neo4j (NEO4J_URI) and vectors by meaning (--embedder openai): there is nothing to write"
        )
    projector = _follower(settings, plan, ledger, dimensions)
    clients: list[Client] = []
    office = budget = None
    if extract_spec.kind == "extract" or embed_spec or settings.resolve_used == "model":
        from core_engine.llm.asker import Office
        from core_engine.llm.purse import Purse

        resolve = resolve_spec(settings) if settings.resolve_used == "model" else None
        budget = budget_of(
            settings, prices, run, extract_spec, embed_spec, resolve, warned=partial(say_of_a_quota, observers)
        )
        office = Office(
            ledger=ledger,
            run=run,
            limiter=limiter,
            pricer=prices,
            purse=Purse(budget),
            observers=observers,
            progress=progress,
            slots=asyncio.Semaphore(settings.max_concurrent),
            max_concurrent=settings.max_concurrent,
            stop=stop,
            retries=settings.retries,
            payer=settings.payer,
            trace_content=settings.trace_content,
        )
    extractor: Extractor = RulesExtractor(ledger)
    if office and extract_spec.kind == "extract":
        extractors = []
        for variant, (model, prompt) in enumerate(ways):
            asker = _asker(office, settings, "extract", asked.way(variant)[1], clients, model=model)
            extractors.append(ModelExtractor(ledger, asker, prompt, progress))
        extractor = TrialExtractor(extractors) if asked.trial else extractors[0]
    embedder = None
    if office and embed_spec and asked.embed_no is not None:
        from core_engine.embeddings.embedder import Embedder

        asker = _asker(office, settings, "embed", asked.embed_no, clients, dimensions)
        embedder = Embedder(ledger, asker, progress, limit=settings.embedding_tpm or settings.tpm)
    if extract_spec.kind == "rules" and embedder is None:
        plan = _in_larger_steps(plan)
    planner = Planner(ledger, run, plan, asked, progress)
    forecast, _ = forecast_of(settings, asked, ways, prices)
    source = Tallied(planner, forecast)
    pipeline: Works = Pipeline(
        source,
        extractor,
        embedder,
        progress,
        workers=_workers(settings.max_concurrent),
        batch_size=plan.batch_size,
    )
    if settings.batch_api:
        if office is None or budget is None:
            raise SettingsError("--batch-api needs a model to ask: give OPENAI_API_KEY or --base-url")
        pipeline = _batch_run(settings, plan, source, asked, office, clients, ways[0][1], budget, collect=collect)
    if office and settings.resolve_used == "model":
        pipeline = _then_resolve(settings, pipeline, projector, office, clients)
    names = {
        "extractor": _named(settings, ways) if extract_spec.kind == "extract" else "rules",
        "embedder": f"openai {settings.embedding_model}" if embed_spec else settings.embedder_used,
    }
    prompts = [prompt for _, prompt in ways] if extract_spec.kind == "extract" else []
    return Parts(
        ledger, pipeline, projector, limiter, prices, progress, clients, asked, names, forecast, prompts, budget
    )


def _named(settings: Settings, ways: Sequence[tuple[str, ExtractionPrompt]]) -> str:
    """The extractor as the report names it, its ways on trial one after the other."""
    if settings.prompt_variants:
        return f"openai {settings.model}, prompts {' | '.join(prompt.name for _, prompt in ways)}"
    return "openai " + " | ".join(model for model, _ in ways)


def _then_resolve(
    settings: Settings, pipeline: Works, projector: Follower, office: Office, clients: list[Client]
) -> Works:
    """The work with questions about names behind it."""
    from core_engine.kg.resolver.asking import PairAsker
    from core_engine.resolving import ThenResolve

    spec = resolve_spec(settings)
    number = office.ledger.write(questions.spec_no, spec)
    asker = _asker(office, settings, "resolve", number, clients)
    pairs = PairAsker(office.ledger, asker, office.run, number, spec.hash, office.progress, office.stop)
    return ThenResolve(pipeline, projector, pairs, office.progress)


def budget_of(
    settings: Settings,
    prices: Prices,
    run: str,
    extract: Spec | None,
    embed: Spec | None,
    resolve: Spec | None = None,
    *,
    warned: Callable[[str, dict[str, Any]], None] | None = None,
) -> RunBudget:
    """What a run may spend, by all caps that hold for it. Close it when the run is over. `warned` hears of quotas."""
    caps = limits_of(settings, settings.workspace, settings.payer.personas)
    _check_prices(caps, prices, settings, extract, embed, resolve)
    account = Account(Path(settings.home), settings.workspace, settings.persona, run)
    return RunBudget(caps=caps, account=account, persona=settings.persona or "", warned=warned)


def say_of_a_quota(observers: Sequence[Observer], name: str, said: dict[str, Any]) -> None:
    """Log it, and tell the observers."""
    log.warning("%s", in_words(name, said))
    for observer in observers:
        observer.event(name, said)


def _batch_run(
    settings: Settings,
    plan: Plan,
    source: Batches,
    asked: Asked,
    office: Office,
    clients: Sequence[Client],
    prompt: ExtractionPrompt,
    budget: RunBudget,
    *,
    collect: bool,
) -> Works:
    """The run by Batch jobs, with the clients that the askers have."""
    from core_engine.batch.compose import Stage
    from core_engine.batch.flow import BatchRun, Kinds, Means
    from core_engine.llm.asker import Asker
    from core_engine.llm.tokens import TokenCounter

    specs = [("extract", asked.extract_no)] if asked.extract.kind == "extract" else []
    specs += [("embed", asked.embed_no)] if asked.embed_no is not None else []
    stages = {
        name: Stage(name, client, spec, TokenCounter(client.endpoint.model))
        for (name, spec), client in zip(specs, clients, strict=True)
    }
    first = stages.get("extract")
    asker = Asker(office, "extract", first.client, first.spec, first.counter, first.completions) if first else None

    def again(kinds: Kinds) -> Batches:
        return Planner(office.ledger, office.run, replace(plan, only=kinds), asked, Progress())

    return BatchRun(
        Means(
            ledger=office.ledger,
            run=office.run,
            source=source,
            replan=again,
            stages=stages,
            asker=asker,
            prompt=prompt,
            budget=budget,
            pricer=office.pricer,
            observers=tuple(office.observers),
            progress=office.progress,
            folder=settings.folder / "batches",
            stop=office.stop,
            wait=collect,
            poll_s=settings.batch_poll,
            retries=settings.retries,
            payer=office.payer,
        )
    )


def _check_prices(
    caps: Caps, prices: Prices, settings: Settings, extract: Spec | None, embed: Spec | None, resolve: Spec | None
) -> None:
    """No cap in dollars can hold a call whose price nobody knows."""
    cap = caps.in_dollars
    if cap is None:
        return
    models = [way.model for way in settings.trial] or [settings.model]
    used = [(model, "extract") for model in dict.fromkeys(models)] if extract and extract.kind == "extract" else []
    used += [(settings.embedding_model, "embed")] if embed else []
    used += [(settings.model_of("resolve"), "resolve")] if resolve else []
    for model, stage in used:
        if prices.price(model, Usage(prompt=1), stage) is None:
            raise SettingsError(f"{cap.origin}: the price of {model!r} is not known: give it in a file with --prices")


def forecast_of(
    settings: Settings,
    asked: Asked,
    ways: Sequence[tuple[str, ExtractionPrompt]],
    prices: Prices,
    *,
    exact: bool = False,
) -> tuple[Forecasts, str]:
    """An estimate to be filled with batches, and how it counts: `tiktoken` or `characters`.

    `exact` counts every batch, by tiktoken where no earlier reply tells how our own measure is billed. Without it, as
    in a run, a few of them are measured, which takes no time that one would notice.
    """
    found = [
        _forecast(settings, asked, asked.way(variant)[1], model, prompt, prices, exact=exact)
        for variant, (model, prompt) in enumerate(ways)
    ]
    return Forecasts([forecast for forecast, _ in found]), found[0][1]


def _forecast(
    settings: Settings,
    asked: Asked,
    extract_no: int,
    model: str,
    prompt: ExtractionPrompt,
    prices: Prices,
    *,
    exact: bool,
) -> tuple[Forecast, str]:
    from core_engine.llm.tokens import TokenCounter, estimate_tokens
    from metrics.told import Told, told_by

    asks = settings.asks_models or settings.resolve_used == "model"
    told = told_by(settings.ledger_path, model, extract_no, settings.embedding_model) if asks else Told()
    chat = TokenCounter(model, exact=exact and not told.replies)
    texts = TokenCounter(settings.embedding_model, exact=exact and not told.embedding_calls)
    tally = Tally(
        prompt if asked.extract.kind == "extract" else None,
        asked.embed is not None,
        chat.count if chat.estimator == "tiktoken" else estimate_tokens,
        texts.count if texts.estimator == "tiktoken" else estimate_tokens,
        every=1 if exact else _MEASURED_EVERY,
    )
    limits = Limits(settings.max_concurrent, settings.rpm, settings.tpm)
    pricer = Processed(prices, _ways_of(settings))
    resolve = settings.model_of("resolve") if settings.resolve_used == "model" else None
    return Forecast(tally, model, settings.embedding_model, told, limits, pricer, resolve), chat.estimator


def _ways_of(settings: Settings) -> dict[str, str]:
    """How each stage's requests are processed, where that is not as usual. Names are asked about one by one even where
    the rest goes through the Batch API.
    """
    if settings.batch_api:
        return dict.fromkeys(("extract", "embed"), "batch")
    return dict.fromkeys(("extract", "resolve"), processing_of(settings.service_tier))


def deriver_of(settings: Settings, *, as_run: bool = False) -> AnswerDeriver:
    """Derives as the settings say (`as_run`); else as the workspace's last run did, unless more is asked for."""
    return AnswerDeriver(
        settings.workspace,
        ontology_of(settings),
        settings.resolve_applied if as_run else None,
        keep_unsupported=settings.keep_unsupported if as_run else settings.keep_unsupported or None,
    )


def projector_of(
    settings: Settings,
    dimensions: int | None,
    ledger: LedgerBase,
    *,
    deferred: bool = False,
    as_run: bool = False,
) -> Projector:
    """The projector with the stores that the settings name; where their writes are deferred, with none.

    `as_run`: see `deriver_of`.
    """
    from core_engine.embeddings.bm25 import Bm25Encoder

    return Projector(
        ledger,
        settings.workspace,
        deriver_of(settings, as_run=as_run),
        None if deferred else graph_store_of(settings),
        None if deferred else vector_store_of(settings, dimensions),
        Bm25Encoder(),
        dense=VectorKind(settings.embedding_model, dimensions) if dimensions else None,
        deferred=deferred,
        embeddings_in_graph=settings.neo4j_embeddings
        and settings.graph_store_used == "neo4j"
        and dimensions is not None,
    )


def _follower(settings: Settings, plan: Plan, ledger: Ledger, dimensions: int | None) -> Follower:
    """The projector of a run: in a process of its own where much is asked of models, so that neither waits."""
    apart = settings.projector == "process"
    if settings.projector == "auto":
        apart = settings.asks_models and _weigh(plan.paths, ledger) >= _MUCH
    lock = settings.folder / "projector.lock"
    make = partial(projector_of, settings, dimensions, deferred=settings.defer_writes, as_run=True)
    if apart:
        from core_engine.apart import ProjectorApart

        return ProjectorApart(ledger, make, lock)
    if lock.exists():
        with held(lock):  # the process of a run that was killed is just ending
            pass
    return make(ledger)


def _weigh(paths: Sequence[str], ledger: Ledger) -> int:
    """How many bytes there are to read that the ledger does not know by path and size; no more is counted than is much."""
    weight = 0
    with ledger.reading() as db:
        for path in (Path(path).absolute() for path in paths):
            for file in chain([path], path.rglob("*") if path.is_dir() else []):
                with contextlib.suppress(OSError):  # the reader says what is wrong with it
                    size = file.stat().st_size if file.is_file() else 0
                    known = documents.source(db, storable(str(file))) if size else None
                    weight += 0 if known and known.size == size else size
                if weight >= _MUCH:
                    return weight
    return weight


def dimensions_of(settings: Settings, ledger: Ledger, embed_no: int | None) -> int:
    """The size of the embedding model's vectors: as set, as known, or as the ledger's answers have it."""
    known = settings.dimensions or KNOWN_DIMENSIONS.get(settings.embedding_model)
    if known:
        return known
    with ledger.reading() as db:
        row = db.execute(
            "SELECT length(answer) FROM question WHERE spec = ? AND answer IS NOT NULL LIMIT 1", (embed_no,)
        ).fetchone()
    if row:
        return int(row[0]) // 4
    raise SettingsError(
        f"the size of the vectors of {settings.embedding_model!r} is not known: give it as --dimensions"
    )


def _asker(
    office: Office,
    settings: Settings,
    stage: str,
    spec: int,
    clients: list[Client],
    vector_size: int | None = None,
    model: str | None = None,
) -> Asker:
    from core_engine.llm.asker import Asker
    from core_engine.llm.client import Client
    from core_engine.llm.tokens import CompletionModel, TokenCounter

    # A verdict is three words, an extraction several lines; some models think at length about either.
    completions = {"extract": CompletionModel(), "resolve": CompletionModel(per_chunk=10, most_per_chunk=200)}
    endpoint = replace(endpoint_of(settings, stage, model), vector_size=vector_size)
    # Two stages of one model share what is learnt of its server.
    client = next((known for known in clients if known.endpoint == endpoint), None)
    if client is None:
        client = Client(endpoint, capabilities_of(office.ledger, endpoint))
        client.cache_keys = settings.max_concurrent  # a worker sends about as many requests a minute as a key should
        clients.append(client)
    room = completions.get(stage)
    if room and stage == "extract":
        with office.ledger.reading() as db:
            for chunks, tokens in calls.latest_replies(db, spec, _REMEMBERED):
                room.observe(chunks, tokens)
    return Asker(office, stage, client, spec, TokenCounter(endpoint.model), room)


def capabilities_of(ledger: Ledger, endpoint: Endpoint) -> Capabilities:
    """What its server is known to take."""
    from core_engine.llm.client import Capabilities

    with ledger.reading() as db:
        row = db.execute("SELECT value FROM meta WHERE key = ?", (_capability_key(endpoint),)).fetchone()
    return Capabilities.from_json(row[0]) if row else Capabilities.known(endpoint.model)


def remember_capabilities(parts: Parts) -> None:
    """Keep what the servers turned out to take, so that the next run needn't be refused again."""
    for client in parts.clients:
        parts.ledger.write(remember, client)


def remember(db: sqlite3.Connection, client: Client) -> None:
    """The same, of one client."""
    row = _capability_key(client.endpoint), client.capabilities.to_json()
    db.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", row)


def _capability_key(endpoint: Endpoint) -> str:
    return f"takes {endpoint.label} {endpoint.model}"


def _workers(max_concurrent: int) -> int:
    """Requests in flight are counted where they are sent; half as many batches again have their replies stored and read."""
    return max_concurrent + -(-max_concurrent // 2)


def _in_larger_steps(plan: Plan) -> Plan:
    return replace(plan, batch_size=max(plan.batch_size, _RULES_BATCH))
