"""What one can ask of the server: each option once, for the command line and for /__config alike."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.openai_server.draws import Distribution
from tests.openai_server.faults import Fault
from tests.openai_server.models import PRICE_HELP, checked_price

_Parse = Callable[[Any], Any]


def _option(default: Any, parse: _Parse, text: str, metavar: str = "") -> Any:
    return field(default=default, metadata={"parse": parse, "help": text, "metavar": metavar})


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{value!r} is neither true nor false")
    return value


def _positive(value: Any) -> float:
    if not float(value) > 0:
        raise ValueError(f"{value!r} is not above 0")
    return float(value)


def _seconds(value: Any) -> float:
    if not 0 <= float(value) < 1e9:
        raise ValueError(f"{value!r} is no number of seconds")
    return float(value)


def _share(value: Any) -> float:
    if not 0 <= float(value) < 1:
        raise ValueError(f"{value!r} is no share from 0 up to 1")
    return float(value)


def _count(value: Any) -> int:
    if int(value) < 0:
        raise ValueError(f"{value!r} is below 0")
    return int(value)


def _distribution(value: Any) -> str | float:
    Distribution.parse(value)
    return value if isinstance(value, str) else float(value)


def _one_of(*words: str) -> _Parse:
    def parse(value: Any) -> Any:
        if value not in words:
            raise ValueError(f"{value!r} is none of {', '.join(words)}")
        return value

    return parse


def _each(parse: _Parse) -> _Parse:
    def parse_all(values: Any) -> tuple[Any, ...]:
        return tuple(parse(value) for value in ([values] if isinstance(values, str) else values))

    return parse_all


def _canned(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict) or not {"match", "content"} <= value.keys():
        raise ValueError('a reply is {"match": TEXT, "content": TEXT, "times": N}')
    return value


@dataclass(frozen=True, slots=True)
class Settings:
    """The options. `None` means: not asked for. Lists are given once per element on the command line."""

    seed: int = _option(0, int, "the seed of all that is drawn", "N")

    # answers
    gold: tuple[str, ...] = _option((), _each(str), "JSON Lines of entities and relationships to answer from", "FILE")
    otherwise: str | None = _option(
        None,
        _one_of("rules", "empty"),
        "for chunks in which nothing of the gold occurs: `rules` or `empty` (the default; without --gold: rules)",
        "HOW",
    )
    replies: tuple[Mapping[str, Any], ...] = _option(
        (), _each(_canned), 'by /__config only: [{"match": TEXT, "content": TEXT, "times": N}, ...]'
    )

    # time and size
    latency: str | float = _option(
        0.0, _distribution, "seconds a reply takes: a number, lognormal:MEDIAN:SIGMA or uniform:LOW:HIGH", "S"
    )
    embedding_latency: str | float | None = _option(
        None, _distribution, "the same for embeddings (default: --latency)", "S"
    )
    parallel: int | None = _option(
        None, _count, "chat requests worked on at once, the others wait their turn, as with a local server", "N"
    )
    completion_tokens: str | float | None = _option(
        None,
        _distribution,
        "completion tokens reported for each chunk asked about, drawn by its text, a tenth for a pair of names; what "
        "the answer itself does not fill is reasoning (default: the answer's own length)",
        "N|lognormal:MEDIAN:SIGMA",
    )
    tokens: str = _option(
        "auto",
        _one_of("auto", "tiktoken", "characters"),
        "count tokens by `tiktoken` (vocabulary in TIKTOKEN_CACHE_DIR), by `characters` / 4, or `auto`",
        "HOW",
    )
    prompt_cache: bool = _option(True, _flag, "bill a static prefix seen before as cached (--no-prompt-cache)")

    # what is refused
    require_key: str | None = _option(None, str, "refuse every other key", "KEY")
    models: tuple[str, ...] = _option((), _each(str), "offer this model too, unpriced", "NAME")
    any_model: bool = _option(False, _flag, "every name is a model, as with local servers")
    context: int | None = _option(None, _count, "the context length of every chat model", "TOKENS")
    refuse: tuple[str, ...] = _option(
        (),
        _each(str),
        "answer 400 to this parameter, or to json_schema, json_object; 404 to embeddings, chat, batches",
        "WHAT",
    )

    # limits
    rpm: float | None = _option(None, _positive, "requests a minute", "N")
    tpm: float | None = _option(None, _positive, "tokens a minute", "N")
    embedding_rpm: float | None = _option(None, _positive, "the same for embeddings apart (default: shared)", "N")
    embedding_tpm: float | None = _option(None, _positive, "the same for embeddings apart (default: shared)", "N")
    per_second: bool = _option(False, _flag, "enforce a minute's limit by the second: no burst beyond one second's")
    charge: str = _option(
        "max",
        _one_of("max", "actual"),
        "what a request takes from the tokens: the larger of its output ceiling and an estimate, or actual usage",
        "max|actual",
    )
    steal: float = _option(0.0, _share, "share of the limits that another client takes", "SHARE")
    count_refused: bool = _option(False, _flag, "requests answered with 429 count as requests too")
    ratelimit_headers: bool = _option(True, _flag, "send x-ratelimit-* (--no-ratelimit-headers)")
    headers: Mapping[str, str] | None = _option(
        None, dict, "by /__config only: headers to add or replace, nonsense included"
    )
    quota: float | None = _option(None, _positive, "429 insufficient_quota once the bill reaches this", "DOLLARS")

    # the Batch API
    batch_duration: str | float = _option(0.3, _distribution, "seconds that a Batch job takes", "S")
    batch_latency: float = _option(0.0, _seconds, "seconds that replies about files and jobs take", "S")
    batch_queue_tokens: float | None = _option(None, _positive, "prompt tokens a model in jobs that wait or run", "N")
    batch_list_lag: float = _option(0.0, _seconds, "seconds until a new file or job shows in lists", "S")

    tier: str = _option("", str, "the service tier that processes all requests, whatever they ask for", "TIER")

    # faults and books
    faults: tuple[Fault, ...] = _option(
        (), _each(Fault.parse), "see below; by /__config with match, times, per and pace too", "KIND[:RATE[:STAGE]]"
    )
    prices: tuple[str, ...] = _option((), _each(checked_price), PRICE_HELP, "MODEL=IN,CACHED,OUT")
    keep_requests: int = _option(100, _count, "how many of the last requests /__requests shows", "N")

    def updated(self, changes: Mapping[str, Any]) -> Settings:
        """These settings with the changes; None puts a setting back to its default. Raises ValueError."""
        fields = {each.name: each for each in dataclasses.fields(self)}
        if unknown := changes.keys() - fields.keys():
            raise ValueError(f"no such setting: {', '.join(sorted(unknown))}; there are {', '.join(fields)}")
        parsed: dict[str, Any] = {}
        for name, value in changes.items():
            try:
                parsed[name] = fields[name].default if value is None else fields[name].metadata["parse"](value)
            except (TypeError, ValueError) as error:
                raise ValueError(f"{name}: {error}") from error
        return dataclasses.replace(self, **parsed)
