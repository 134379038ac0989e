"""What cleaning takes out of QMSum, and that no entity or relationship of the gold sets is lost by it.

    python tests/benchmarks/bench_cleaning.py [--every 1] [--gold DIR]

Tokens are those of the chunks' text with speakers, as read and as cleaned, by tiktoken's o200k_base where its
vocabulary is on disk, else characters / 4. An entity is lost where a chunk names it before cleaning and not after; a
relationship where one of its ends is. Every mention with offsets must lead back to the words that it had.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from core_engine.chunking.clean import clean, from_raw, to_raw, uncleaned
from core_engine.errors import Unreadable
from core_engine.kg.grounding import Words
from core_engine.readers.content import fingerprint
from core_engine.readers.registry import read
from core_engine.readers.sources import discover
from core_engine.types import Chunk, ChunkTurn, Transcript
from tests.benchmarks.bench_rules import gold_folder
from tests.benchmarks.corpus import chunks, counter, raw_texts, shared, vocabulary

ROOT = Path(__file__).parents[2]
_SETS = ("earnings21_ner/dev.jsonl", "redocred/dev.jsonl", "text2kgbench_wikidata/dev.jsonl")


@dataclass(slots=True)
class Kept:
    """What a gold set holds, and what of it cleaning lost."""

    entities: int = 0
    relations: int = 0
    spans: int = 0
    lost_entities: tuple[str, ...] = ()
    lost_relations: int = 0
    strayed: tuple[str, ...] = ()


def saved(every: int = 1) -> tuple[int, int, int] | None:
    """(chunks, tokens as read, tokens as cleaned) of every so-manieth chunk of QMSum; None where it is not here."""
    data = shared()
    if data is None:
        return None
    count = counter(vocabulary())
    chunks_ = before = after = 0
    for text in itertools.islice(raw_texts(chunks(data)), 0, None, every):
        lines = [line.partition(": ") for line in text.split("\n")]
        cleaned = ((speaker, clean(said).text) for speaker, _, said in lines)
        chunks_ += 1
        before += count(text)
        after += count("\n".join(f"{speaker}: {said}" for speaker, said in cleaned if said))
    return chunks_, before, after


def kept(path: Path) -> Kept:
    """What cleaning keeps of a gold set."""
    result = Kept()
    for row in _rows(path):
        _judge(row, result)
    return result


def _rows(path: Path) -> Iterator[dict]:
    with path.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def _judge(row: dict, result: Kept) -> None:
    texts = _texts(row)
    before, after = _words(texts), _words([clean(text).text for text in texts])
    lost: set[str] = set()
    for names in map(_names, row.get("entities", [])):
        said = [name for name in names if before.places(name)]
        result.entities += bool(said)
        if said and not any(after.places(name) or after.places(clean(name).text) for name in said):
            lost.update(names)
            result.lost_entities += (said[0],)
    for relation in _relations(row):
        result.relations += 1
        result.lost_relations += not lost.isdisjoint(relation)
    if "text" in row:
        _follow(row, result)


def _texts(row: dict) -> list[str]:
    if "text" in row:
        return row["text"].split("\n")
    [source] = discover((str(ROOT / "data" / "transcripts" / row["document"]),), ())
    assert not isinstance(source, Unreadable)
    read_ = read(source, fingerprint(source)).items
    return [turn.text for item in read_ if isinstance(item, Transcript) for turn in item.turns]


def _words(texts: list[str]) -> Words:
    return Words(Chunk("", "", 0, tuple(ChunkTurn(None, text, text, i) for i, text in enumerate(texts))))


def _names(entity: dict) -> list[str]:
    return entity.get("mentions") or [entity["text"] if "text" in entity else entity["name"]]


def _relations(row: dict) -> Iterator[set[str]]:
    for relation in row.get("relations", row.get("relationships", [])):
        ends = [relation.get("sub", relation.get("subject")), relation.get("obj", relation.get("object"))]
        yield {name for end in ends for name in (_names(row["entities"][end]) if isinstance(end, int) else [end])}


def _follow(row: dict, result: Kept) -> None:
    """Each mention's first and last character, where both are kept, leads back to itself."""
    text = row["text"]
    placed = [entity for entity in row["entities"] if "start" in entity]
    cleaned = clean(text) if placed else uncleaned("")
    cuts = cleaned.cuts
    for entity in placed:
        first, last = from_raw(cuts, entity["start"]), from_raw(cuts, entity["end"] - 1)
        result.spans += 1
        there = first < len(cleaned.text) and last < len(cleaned.text)
        if not there or to_raw(cuts, first) < entity["start"] or cleaned.text[first] != text[to_raw(cuts, first)]:
            result.strayed += (entity["text"],)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=1, help="every so-manieth chunk of QMSum")
    parser.add_argument("--gold", type=Path, default=gold_folder(), help="the folder that holds the gold sets")
    chosen = parser.parse_args()
    tokens = saved(chosen.every)
    if tokens is None:
        print("QMSum is not here (set KG_SHARED_DATA): its tokens are not counted.")
    else:
        number, before, after = tokens
        print(f"QMSum, {number:,} chunks: {before:,} tokens as read, {after:,} cleaned: {1 - after / before:.1%} less")
    for path in sets(chosen.gold):
        found = kept(path)
        print(
            f"{path.parent.name}/{path.name}: {found.entities:,} entities, {len(found.lost_entities)} lost "
            f"{found.lost_entities[:9]}; {found.relations:,} relationships, {found.lost_relations} lost; "
            f"{found.spans:,} places, {len(found.strayed)} lead elsewhere {found.strayed[:9]}"
        )


def sets(gold: Path | None) -> list[Path]:
    """The gold sets that are here: ours, and the shared ones."""
    shared = [gold / name for name in _SETS] if gold else []
    return [path for path in (ROOT / "data" / "gold" / "conversations.jsonl", *shared) if path.is_file()]


if __name__ == "__main__":
    main()
