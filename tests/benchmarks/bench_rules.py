"""How well and how fast the rules find names, against two gold sets: python tests/benchmarks/bench_rules.py [--gold DIR].

Counted as the gold's README says: per chunk the set of distinct names, without a leading article, a trailing 's, case
and punctuation; casing from the set's own texts. The rules were tuned on one half of each set (every other call of
Earnings-21, every other text of Re-DocRED); the other half is told apart.

What the rules find by form alone (dates, amounts, percentages, addresses) is no name to the gold sets and is counted by
itself, by type, beside how often the type of a name is the gold's. Earnings-21's amounts are labelled in pieces ("$5",
"million"), so that amounts can't be counted there, and many of its dates not at all; Re-DocRED's are written in tokens
("March 4 , 2009"), which no transcript is.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from core_engine.kg.rules.casing import Casing
from core_engine.kg.rules.cooccurrence import cooccurrences
from core_engine.kg.rules.extractor import read, scan
from core_engine.kg.rules.kinds import ROLE
from core_engine.kg.rules.records import RuleMention
from core_engine.kg.rules.values import VALUES
from core_engine.types import ChunkTurn

_NAMES = frozenset(
    ("PERSON", "ORG", "GPE", "LOC", "FAC", "PRODUCT", "EVENT", "LAW", "NORP", "WORK_OF_ART", "ABBREVIATION")
)
_NOT_NAMES = frozenset(("TIME", "NUM"))
_TYPES = {
    "PERSON": "Person", "PER": "Person", "ORG": "Organization", "GPE": "Place", "LOC": "Place", "FAC": "Place",
    "DATE": "Date", "TIME": "Date", "PERCENT": "Percentage", "WEBSITE": "WebAddress",
}  # fmt: skip
_HEADER = re.compile(r"(?m)^(Speaker [^:\n]{1,20}):[ ]?")


@dataclass(frozen=True, slots=True)
class Example:
    """A gold chunk: its turns, the normalised names in it, and whether the rules were tuned on it."""

    turns: tuple[ChunkTurn, ...]
    names: frozenset[str]
    tuned: bool
    types: Mapping[str, str]
    """What gold says that its names and values are, as our types; '' for those that have none here."""


@dataclass(frozen=True, slots=True)
class Score:
    right: int = 0
    wrong: int = 0
    missed: int = 0

    @property
    def precision(self) -> float:
        return self.right / max(1, self.right + self.wrong)

    @property
    def recall(self) -> float:
        return self.right / max(1, self.right + self.missed)

    @property
    def f1(self) -> float:
        return 2 * self.right / max(1, 2 * self.right + self.wrong + self.missed)


@dataclass(frozen=True, slots=True)
class Result:
    everything: Score
    tuned: Score
    held_out: Score
    seconds: dict[str, float]
    """CPU seconds per 1,000 chunks, by step."""
    typed: dict[str, Score]
    """By type: of the names that gold has too, those whose type is its type; of dates and the like, all."""


def gold_folder() -> Path | None:
    """Where the gold sets are: under KG_SHARED_DATA, else in ../shared/data beside the repository; None if nowhere."""
    data = os.environ.get("KG_SHARED_DATA") or Path(__file__).resolve().parents[2].parent / "shared" / "data"
    gold = Path(data) / "gold"
    return gold if gold.is_dir() else None


def normal(name: str) -> str:
    name = re.sub(r"^(?:the|a|an|my|our)\s+", "", name.strip().lower())
    name = re.sub(r"\s*['\u2019]s$", "", name)
    return re.sub(r"\W+", " ", name).strip()


def _lines(path: Path) -> Iterator[dict]:
    with path.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def earnings21(gold: Path) -> list[Example]:
    rows = list(_lines(gold / "earnings21_ner" / "dev.jsonl"))
    tuned = set(sorted({row["doc"] for row in rows})[::2])
    examples = []
    for row in rows:
        headers = [match.span() for match in _HEADER.finditer(row["text"])]
        names = {
            normal(entity["text"])
            for entity in row["entities"]
            if entity["type"] in _NAMES and not any(a <= entity["start"] < b for a, b in headers)
        }
        types = {normal(entity["text"]): _TYPES.get(entity["type"], "") for entity in row["entities"]}
        examples.append(Example(_turns(row["text"]), frozenset(names - {""}), row["doc"] in tuned, types))
    return examples


def redocred(gold: Path) -> list[Example]:
    examples = []
    for i, row in enumerate(_lines(gold / "redocred" / "dev.jsonl")):
        named = (entity["mentions"] for entity in row["entities"] if entity["type"] not in _NOT_NAMES)
        names = {normal(mention) for mentions_ in named for mention in mentions_}
        types = {normal(m): _TYPES.get(each["type"], "") for each in row["entities"] for m in each["mentions"]}
        examples.append(Example(_turns(row["text"]), frozenset(names - {""}), i % 2 == 0, types))
    return examples


def _turns(text: str) -> tuple[ChunkTurn, ...]:
    turns = []
    for i, line in enumerate(text.split("\n")):
        header = _HEADER.match(line)
        said = line[header.end() :] if header else line
        turns.append(ChunkTurn(header.group(1) if header else None, said, said, i))
    return tuple(turns)


SETS: dict[str, Callable[[Path], list[Example]]] = {"earnings21_ner": earnings21, "redocred": redocred}


def _is_name(mention: RuleMention) -> bool:
    """Whether the sets label such things as names: neither dates and amounts nor roles in words, but "CFO" they do."""
    if mention.speaker or mention.type in VALUES:
        return False
    return mention.type != ROLE or mention.name.isupper()


def measure(examples: list[Example]) -> Result:
    casing = Casing()
    clock = [time.process_time()]
    scans = [scan(example.turns) for example in examples]
    clock.append(time.process_time())
    for each in scans:
        casing.add(each)
    clock.append(time.process_time())
    found = [read(each, casing).mentions for each in scans]
    clock.append(time.process_time())
    for each in found:
        cooccurrences(each)
    clock.append(time.process_time())

    scores = {True: Score(), False: Score()}
    for example, here in zip(examples, found, strict=True):
        names = {normal(mention.name) for mention in here if _is_name(mention)} - {""}
        old = scores[example.tuned]
        scores[example.tuned] = Score(
            old.right + len(names & example.names),
            old.wrong + len(names - example.names),
            old.missed + len(example.names - names),
        )
    tuned, held_out = scores[True], scores[False]
    everything = Score(tuned.right + held_out.right, tuned.wrong + held_out.wrong, tuned.missed + held_out.missed)
    steps = ("scan", "add", "mentions", "cooccurrences")
    seconds = {
        step: (after - before) * 1000 / len(examples)
        for step, before, after in zip(steps, clock, clock[1:], strict=False)
    }
    return Result(everything, tuned, held_out, seconds, _typed(examples, found))


def _typed(examples: list[Example], found: list[tuple[RuleMention, ...]]) -> dict[str, Score]:
    typed: dict[str, Score] = {}
    for type_ in dict.fromkeys(_TYPES.values()):
        right = wrong = missed = 0
        for example, here in zip(examples, found, strict=True):
            said = {normal(m.name) for m in here if m.type == type_ and not m.speaker} - {""}
            if type_ not in VALUES:
                said &= example.types.keys()
            true = {name for name, kind in example.types.items() if kind == type_ and name}
            right, wrong, missed = right + len(said & true), wrong + len(said - true), missed + len(true - said)
        typed[type_] = Score(right, wrong, missed)
    return typed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gold", type=Path, default=gold_folder(), help="the folder that holds the gold sets")
    gold = parser.parse_args().gold
    if gold is None or not gold.is_dir():
        print("No gold sets here: give their folder by --gold, or set KG_SHARED_DATA. Nothing measured.")
        return
    for name, examples_of in SETS.items():
        examples = examples_of(gold)
        result = measure(examples)
        print(f"{name}: {len(examples):,} chunks")
        for part, score in (("all", result.everything), ("tuned on", result.tuned), ("held out", result.held_out)):
            print(f"  {part:9} precision {score.precision:.3f}  recall {score.recall:.3f}  F1 {score.f1:.3f}")
        for type_, score in result.typed.items():
            print(f"  {type_:12} precision {score.precision:.3f}  recall {score.recall:.3f}")
        steps = "  ".join(f"{step} {seconds:.3f}" for step, seconds in result.seconds.items())
        print(f"  CPU seconds per 1,000 chunks: {steps}  together {sum(result.seconds.values()):.3f}")


if __name__ == "__main__":
    main()
