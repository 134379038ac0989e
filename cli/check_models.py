"""What `kg doctor` looks at of the models: key, endpoint, name, reply formats, limits, prices, clock, tokenizer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import urlsplit

import orjson

from cli.check import NOTE, OK, PROBLEM, Check, problem
from core_engine.errors import KGError, ModelError, ServiceRefused, SettingsError
from core_engine.ledger.ledger import Ledger
from core_engine.ledger.lock import is_held
from core_engine.ledger.looking import looking
from core_engine.settings import Settings
from metrics.render import money

_PATIENCE_S = 15.0
_OFF_S = 60.0  # a clock that is off by more confuses limits' resets, and caps by the day
_LOCAL = {"localhost", "127.0.0.1", "::1"}
_NAMED_BY = {"extract": "--model", "embed": "--embedding-model", "resolve": "resolve in [models] of kg.toml"}


def model_checks(settings: Settings, *, ask: bool) -> Iterator[Check]:
    """No paid call is made, but for the one that `ask` allows: it is named before it is sent."""
    dates: list[float] = []
    for name, stage, model in _stages(settings):
        yield from _of_a_stage(settings, name, stage, model, dates)
    yield from _prompts(settings)
    yield from _clock(dates)
    yield from _limits(settings)
    yield from _prices(settings)
    yield _tokenizer()
    if ask:
        yield from _asked(settings)


def _stages(settings: Settings) -> list[tuple[str, str, str]]:
    """Name, stage and model of what is asked; '' for a model where none is."""
    extracts, embeds = settings.extractor_used == "openai", settings.embedder_used == "openai"
    models = list(dict.fromkeys(way.model for way in settings.trial)) or [settings.model]
    stages = [("extraction", "extract", model) for model in models] if extracts else [("extraction", "extract", "")]
    stages.append(("embedding", "embed", settings.embedding_model if embeds else ""))
    # Where it is the one that extracts, that one's checks will do.
    if settings.resolve_used == "model" and not (extracts and settings.model_of("resolve") in models):
        stages.append(("pairs of names", "resolve", settings.model_of("resolve")))
    return stages


def _of_a_stage(settings: Settings, name: str, stage: str, model: str, dates: list[float]) -> Iterator[Check]:
    if not model:
        other = "rules" if stage == "extract" else settings.embedder_used
        yield Check(name, OK, f"{other}: no model is asked")
        return
    try:
        yield asyncio.run(_model(settings, name, stage, model, dates))
    except KGError as error:
        yield problem(name, error)
    if stage != "embed":
        known = _formats(settings, stage, model)
        if known:
            yield Check(f"{name} replies", NOTE if "without" in known else OK, f"known from earlier runs: {known}")
        else:
            yield Check(f"{name} replies", OK, "no run has tried this server's formats yet", "`kg doctor --ask` does")


async def _model(settings: Settings, name: str, stage: str, model: str, dates: list[float]) -> Check:
    from cli.wiring import endpoint_of
    from core_engine.llm.client import Capabilities, Client

    endpoint = replace(endpoint_of(settings, stage, model), timeout_s=min(settings.timeout_used, _PATIENCE_S))
    if not endpoint.key and urlsplit(endpoint.label).hostname not in _LOCAL:
        return Check(name, PROBLEM, f"{endpoint.label}: no key is set", "set OPENAI_API_KEY, or use --no-model")
    client = Client(endpoint, Capabilities())
    try:
        listed = await client.models()
    except ServiceRefused as refused:
        if refused.status == 404:
            return Check(name, NOTE, f"{endpoint.label} answers, but lists no models: {endpoint.model!r} is untested")
        return Check(name, PROBLEM, str(refused))
    except ModelError as error:
        return Check(name, PROBLEM, str(error), "see that the server runs, and look at --base-url and the network")
    finally:
        await client.close()
    if client.clock_s is not None:
        dates.append(client.clock_s - time.time())
    if endpoint.model not in listed:
        some = ", ".join(sorted(listed)[:8]) or "none"
        return Check(
            name,
            PROBLEM,
            f"{endpoint.label} does not list {endpoint.model!r}; it lists {some}",
            f"name one with {_NAMED_BY[stage]}",
        )
    return Check(name, OK, f"{endpoint.label} answers and lists {endpoint.model}")


def _formats(settings: Settings, stage: str, model: str) -> str:
    """What earlier runs learnt of the server; '' if none has asked it."""
    from cli.wiring import endpoint_of
    from core_engine.llm.client import Capabilities

    if not settings.ledger_path.is_file():
        return ""
    endpoint = endpoint_of(settings, stage, model)
    try:
        with looking(settings.ledger_path) as db:
            key = f"takes {endpoint.label} {endpoint.model}"
            row = db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    except KGError:
        return ""  # said by the ledger's own check
    if not row:
        return ""
    can = Capabilities.from_json(row[0])
    return can.said() or f"it takes {can.response_format}, and all that is sent"


def _prompts(settings: Settings) -> Iterator[Check]:
    """A file of the user's own may lack what it needs."""
    if settings.prompt or settings.prompt_variants:
        from cli.wiring import ways_of

        try:
            names = ", ".join(dict.fromkeys(f"{prompt.name} ({prompt.hash})" for _, prompt in ways_of(settings)))
            yield Check("prompt", OK, names)
        except SettingsError as error:
            yield problem("prompt", error)


def _clock(differences: list[float]) -> Iterator[Check]:
    """Against the server's, as its replies say to the second."""
    if not differences:
        return
    off = min(differences, key=abs)
    if abs(off) <= _OFF_S:
        yield Check("clock", OK, "agrees with the server's")
    else:
        word = "behind" if off > 0 else "ahead of"
        yield Check(
            "clock", NOTE, f"{abs(off):,.0f} s {word} the server's", "set it: days, months and limits begin by it"
        )


def _limits(settings: Settings) -> Iterator[Check]:
    """Requests and tokens a minute: as given, or as the last run that asked has learnt them."""
    if not settings.asks_models:
        return
    given = [f"--{name} {value:,.0f}" for name in ("rpm", "tpm") if (value := getattr(settings, name))]
    if given:
        yield Check("limits", OK, f"given: {', '.join(given)}")
        return
    learned = _learned(settings)
    if learned:
        yield Check("limits", OK, f"as the last run was told: {learned}")
    else:
        yield Check("limits", OK, "none are given: a run learns them from the replies", "--rpm and --tpm give them")


def _learned(settings: Settings) -> str:
    if not settings.ledger_path.is_file():
        return ""
    try:
        with looking(settings.ledger_path) as db:
            row = db.execute(
                "SELECT json_extract(report, '$.limits') FROM run WHERE json_array_length(report, '$.limits') > 0 "
                "ORDER BY started_at DESC LIMIT 1"
            ).fetchone()
    except KGError:
        return ""  # said by the ledger's own check
    limits = orjson.loads(row[0]) if row and row[0] else []
    return ", ".join(
        f"{each['per_minute']:,.0f} {each['unit']}/min ({each['bucket']})" for each in limits if each["per_minute"]
    )


def _prices(settings: Settings) -> Iterator[Check]:
    from cli.wiring import prices_of

    for _, stage, model in _stages(settings):
        if not model:
            continue
        try:
            source = prices_of(settings).source(model, stage)
        except SettingsError as error:
            yield problem("prices", error)
            return
        if source != "unpriced":
            yield Check("prices", OK, f"{model}: {source}")
        elif settings.max_cost is not None:
            yield Check(
                "prices", PROBLEM, f"{model} is unpriced: --max-cost can't hold it", "give its price with --prices"
            )
        else:
            yield Check(
                "prices", NOTE, f"{model} is unpriced: its cost will not be known", "give its price with --prices"
            )


def _tokenizer() -> Check:
    from core_engine.llm.tokens import vocabulary

    if vocabulary("o200k_base"):
        return Check("tokenizer", OK, "the vocabulary is on disk")
    return Check("tokenizer", OK, "no vocabulary on disk: tokens are estimated, and calibrated from the replies")


# --- the one call ----------------------------------------------------------------------------------------------------


def _asked(settings: Settings) -> Iterator[Check]:
    """Ask about one sentence, as a run would; in the books like any other call."""
    from cli import queries

    if settings.extractor_used != "openai":
        yield Check("one call", OK, "no model is asked: there is nothing to try")
        return
    if holder := is_held(settings.lock_path):
        yield Check("one call", NOTE, f"a run is going on ({holder}): its report says more than a call would")
        return
    try:
        at_most, dollars = queries.trial_at_most(settings)
        cost = "of unknown price" if dollars is None else f"at most {money(float(dollars))}"
        yield Check("one call", NOTE, f"asks {settings.model} about one sentence: at most {at_most:,} tokens, {cost}")
        settings.folder.mkdir(parents=True, exist_ok=True)
        with Ledger(settings.ledger_path) as ledger:
            tried = asyncio.run(queries.tried(settings, ledger))
    except KGError as error:
        yield problem("reply", error)
        return
    cost = "unpriced" if tried.cost is None else money(float(tried.cost))
    said = f"{tried.format}, {tried.seconds:.1f} s, {tried.tokens:,} tokens, {cost}"
    if tried.invalid:
        yield Check("reply", PROBLEM, f"of no use ({tried.invalid}): {said}", "try another --model")
    else:
        yield Check("reply", OK, f"as asked for: {said}" + (f"; {tried.without}" if tried.without else ""))
    if tried.limits:
        yield Check("told limits", OK, tried.limits)
