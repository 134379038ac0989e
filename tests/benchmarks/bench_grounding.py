"""What the checks keep of true facts and catch of invented ones: python tests/benchmarks/bench_grounding.py [SET …].

Three gold sets, each run through `kg process` with the test server answering from it: Re-DocRED and Text2KGBench's
Wikidata part (a sentence is a turn) where the shared data is, and the conversations of data/gold. Four runs each:

- *true*: the gold's facts, each citing its evidence. Held to: of those whose two ends are named within one turn of the
  cited one (in the chunk, or in the last turn before it that the model is shown; a speaker by speaking) 99 % are kept.
  The server names an entity once a chunk, in the fullest form that the chunk has. Told apart: what is kept of facts of
  which another form of the name stands there ("Monday" for "the twenty-second").
- *absent*: an end is a name of another document that this one doesn't hold. Held to: 99 % are caught.
- *elsewhere*: a fact of another chunk, its names and all, none of which this chunk has within a turn of what is cited.
- *far*: names of this chunk, cited from a turn that has one of them neither in itself nor in its neighbours.
- *random* (no bar): two entities that a turn does name, said to be related. What such a check can't see.

Whether a name is said is decided here by plain search for the gold's mentions, not by the code that is measured.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from core_engine.kg.normalise import normal_form
from core_engine.ledger.documents import chunks_of
from core_engine.types import GRADES, Chunk
from tests.benchmarks.bench_rules import gold_folder
from tests.benchmarks.running import ROOT, Table, kg, surroundings
from tests.openai_server.fixture import start

_BAR = 0.99
_A_DOCUMENT = 12  # invented facts of a kind at most
_LOOKED_AT = 40  # places in a document from which to invent
_FEWEST_WORDS = 4  # of a turn that is cited: the server finds it by its words
_SENTENCE = re.compile(r"(?<=[.?!]) +(?=[^a-z])")


@dataclass(frozen=True, slots=True)
class Entity:
    name: str
    type: str
    mentions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fact:
    """Places in the document's entities, and the words of the turn that is cited."""

    subject: int
    type: str
    object: int
    quote: str


@dataclass(slots=True)
class Document:
    name: str
    entities: list[Entity]
    facts: list[Fact]
    turns: list[str] = field(default_factory=list)
    """Where the transcript is made here: a turn a sentence."""
    chunks: list[Chunk] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class GoldSet:
    name: str
    documents: list[Document]
    ontology: str
    """TOML; '' for the built-in one."""


# --- the gold sets ---------------------------------------------------------------------------------------------------

_KINDS = {"PER": "Person", "LOC": "Place", "ORG": "Organization", "TIME": "Date", "NUM": "Number", "MISC": "Topic"}


def redocred(gold: Path) -> GoldSet:
    documents = []
    for row in _lines(gold / "redocred" / "dev.jsonl"):
        sentences = row["text"].replace(" . ", " . \0").split("\0")
        entities = [Entity(e["text"], _KINDS[e["type"]], tuple(e["mentions"])) for e in row["entities"]]
        facts = [
            Fact(each["sub"], _snake(each["rel"]), each["obj"], sentences[number])
            for each in row["relations"]
            for number in each["evidence"][:1]
            if number < len(sentences)
        ]
        documents.append(Document(row["id"], entities, facts, sentences))
    return GoldSet("redocred", documents, _ontology(_KINDS.values(), documents))


def text2kgbench(gold: Path) -> GoldSet:
    documents = []
    for row in _lines(gold / "text2kgbench_wikidata" / "dev.jsonl"):
        names = list(dict.fromkeys(e["text"] for e in row["entities"]))
        sentences = _SENTENCE.split(row["text"])
        facts = [
            Fact(names.index(each["sub"]), _snake(each["rel"]), names.index(each["obj"]), _best(sentences, each))
            for each in row["relations"]
            if each["sub"] in names and each["obj"] in names
        ]
        documents.append(Document(row["id"], [Entity(name, "Topic", (name,)) for name in names], facts, sentences))
    return GoldSet("text2kgbench_wikidata", documents, _ontology(("Topic",), documents))


def conversations(_: Path | None) -> GoldSet:
    documents = []
    for row in _lines(ROOT / "data" / "gold" / "conversations.jsonl"):
        entities = [Entity(e["name"], e["type"], (e["name"], *e["mentions"])) for e in row["entities"]]
        at = {entity.name: i for i, entity in enumerate(entities)}
        facts = [Fact(at[r["subject"]], r["type"], at[r["object"]], r["quote"]) for r in row["relationships"]]
        documents.append(Document(row["document"], entities, facts))
    return GoldSet("conversations", documents, "")


SETS: Mapping[str, Callable[[Path], GoldSet]] = {
    "redocred": redocred,
    "text2kgbench_wikidata": text2kgbench,
    "conversations": conversations,
}


def _lines(path: Path) -> Iterator[dict]:
    with path.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def _snake(name: str) -> str:
    return "r_" + re.sub(r"\W+", "_", name.lower()).strip("_")


def _best(sentences: Sequence[str], fact: Mapping[str, str]) -> str:
    """The sentence that names most of a fact's ends, the first of equals."""
    return max(sentences, key=lambda sentence: sum(end in sentence for end in (fact["sub"], fact["obj"])))


def _ontology(types: Iterable[str], documents: Iterable[Document]) -> str:
    lines = ['name = "bench"']
    lines += [f"[entities.{kind}]" for kind in dict.fromkeys(types)]
    kinds = sorted({fact.type for document in documents for fact in document.facts})
    lines += [f'[relationships.{kind}]\nends = ["Any -> Any"]' for kind in kinds]
    return "\n".join(lines)


# --- what is named where ---------------------------------------------------------------------------------------------


def _says(text: str, names: Iterable[str]) -> bool:
    text = f" {_plain(text)} "
    return any(plain and f" {plain} " in text for plain in map(_plain, names))


def _plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))


def _within_a_turn(chunk: Chunk, number: int, names: Sequence[str]) -> bool:
    """Whether the turn of that number (from 1), the ones around it or their speakers bear one of the names."""
    shown = [(speaker, text) for speaker, text in chunk.context[-1:]]
    at = -1
    for n, turn in enumerate(chunk.turns, 1):
        if turn.text:
            at = len(shown) if n == number else at
            shown.append((turn.speaker, turn.raw))
    around = shown[max(at - 1, 0) : at + 2]
    return any(_says(text, names) or (speaker and _says(speaker, names)) for speaker, text in around)


def _cited(document: Document, quote: str) -> tuple[Chunk, int] | None:
    wanted = _plain(quote)
    for chunk in document.chunks:
        for number, turn in enumerate(chunk.turns, 1):
            if turn.text and wanted in _plain(turn.raw):
                return chunk, number
    return None


# --- runs ------------------------------------------------------------------------------------------------------------


class Bench:
    """One gold set, its transcripts in a folder, and the runs over them."""

    def __init__(self, gold: GoldSet, folder: Path) -> None:
        self.gold = gold
        self.folder = folder
        self.rng = random.Random(7)
        self._paths = folder / "t"
        if gold.name == "conversations":
            self._paths = ROOT / "data" / "transcripts"
        else:
            self._paths.mkdir()
            for document in gold.documents:
                # Two speakers in turns, or sentences that follow each other would be read as one turn.
                turns = [{"speaker": f"Speaker {n % 2 + 1}", "text": text} for n, text in enumerate(document.turns)]
                (self._paths / f"{document.name}.json").write_text(json.dumps(turns), encoding="utf-8")
        if gold.ontology:
            (folder / "ontology.toml").write_text(gold.ontology, encoding="utf-8")

    def run(self, name: str, facts: Mapping[str, Sequence[Fact]], entities: Mapping[str, Sequence[Entity]]) -> Kept:
        """Process everything with a server that states these facts of each document."""
        gold = self.folder / f"{name}.jsonl"
        with gold.open("w", encoding="utf-8") as out:
            for document in self.gold.documents:
                out.write(json.dumps(_as_gold(document.name, entities[document.name], facts[document.name])) + "\n")
        with start(gold=[str(gold)], otherwise="empty", tokens="characters") as server:
            ontology = ("--ontology", "ontology.toml") if self.gold.ontology else ()
            ran = kg(
                "process", self._paths, "-w", name, "--embedder", "none", "--graph-store", "none", *ontology,
                folder=self.folder, OPENAI_BASE_URL=server.url, OPENAI_API_KEY="x",
            )  # fmt: skip
        return Kept(self.folder / ".kg" / name / "ledger.sqlite3", ran.report["graph"]["grounding"])

    def true(self) -> Kept:
        facts = {document.name: document.facts for document in self.gold.documents}
        return self.run("true", facts, {document.name: document.entities for document in self.gold.documents})

    def absent(self) -> tuple[Kept, dict[str, list[Fact]], dict[str, list[Entity]]]:
        everything = [e for document in self.gold.documents for e in document.entities]

        def make(document: Document) -> Iterator[tuple[Entity, Entity, str, str]]:
            text = " ".join(f"{t.speaker or ''} {t.raw}" for chunk in document.chunks for t in chunk.turns)
            for chunk, number, here in self._some_named(document):
                other = self.rng.choice(everything)
                if not _shares_a_word(other.mentions, text):
                    yield here, other, self._type(document), chunk.turns[number - 1].raw

        return self._invented("absent", make)

    def elsewhere(self) -> tuple[Kept, dict[str, list[Fact]], dict[str, list[Entity]]]:
        def make(document: Document) -> Iterator[tuple[Entity, Entity, str, str]]:
            chunks = [(document, chunk) for chunk in document.chunks]
            for other in self.rng.sample(self.gold.documents, min(8, len(self.gold.documents))):
                chunks += [(other, chunk) for chunk in other.chunks] if other is not document else []
            for here in document.chunks:
                turns = _citable(here)
                for owner, chunk in chunks:
                    if chunk is here or not turns:
                        continue
                    for fact in owner.facts:
                        cited = _cited(owner, fact.quote)
                        number = self.rng.choice(turns)
                        ends = owner.entities[fact.subject], owner.entities[fact.object]
                        if (
                            cited
                            and cited[0] is chunk
                            and not any(_within_a_turn(here, number, end.mentions) for end in ends)
                        ):
                            yield *ends, fact.type, here.turns[number - 1].raw

        return self._invented("elsewhere", make)

    def far(self) -> tuple[Kept, dict[str, list[Fact]], dict[str, list[Entity]]]:
        def make(document: Document) -> Iterator[tuple[Entity, Entity, str, str]]:
            for chunk, number, here in self._some_named(document):
                whole = " ".join(f"{t.speaker or ''} {t.text}" for t in chunk.turns)
                for other in self.rng.sample(document.entities, len(document.entities)):
                    said = other is not here and _says(whole, other.mentions)
                    if said and not _within_a_turn(chunk, number, other.mentions):
                        yield here, other, self._type(document), chunk.turns[number - 1].raw

        return self._invented("far", make)

    def wrong_pairs(self) -> tuple[Kept, dict[str, list[Fact]], dict[str, list[Entity]]]:
        def make(document: Document) -> Iterator[tuple[Entity, Entity, str, str]]:
            true = {(document.entities[f.subject].name, document.entities[f.object].name) for f in document.facts}
            for chunk, number, here in self._some_named(document):
                for other in document.entities:
                    said = _within_a_turn(chunk, number, other.mentions)
                    if said and other is not here and (here.name, other.name) not in true:
                        yield here, other, self._type(document), chunk.turns[number - 1].raw

        return self._invented("random", make)

    def _named_in_turns(self, document: Document) -> Iterator[tuple[Chunk, int, Entity]]:
        """Turns that may be cited, each with an entity that it names."""
        for chunk in document.chunks:
            for number in _citable(chunk):
                turn = chunk.turns[number - 1]
                for entity in document.entities:
                    if _says(turn.text, entity.mentions):
                        yield chunk, number, entity

    def _some_named(self, document: Document) -> list[tuple[Chunk, int, Entity]]:
        named = list(self._named_in_turns(document))
        return self.rng.sample(named, min(_LOOKED_AT, len(named)))

    def _type(self, document: Document) -> str:
        return self.rng.choice(document.facts).type if document.facts else self.gold.documents[0].facts[0].type

    def _invented(
        self, name: str, make: Callable[[Document], Iterator[tuple[Entity, Entity, str, str]]]
    ) -> tuple[Kept, dict[str, list[Fact]], dict[str, list[Entity]]]:
        facts: dict[str, list[Fact]] = {}
        entities: dict[str, list[Entity]] = {}
        for document in self.gold.documents:
            invented = list(make(document))
            invented = self.rng.sample(invented, min(_A_DOCUMENT, len(invented)))
            known = list(document.entities)
            at = {id(entity): i for i, entity in enumerate(known)}
            facts[document.name] = []
            for subject, target, kind, quote in invented:
                for end in (subject, target):
                    if id(end) not in at:
                        at[id(end)] = len(known)
                        known.append(end)
                facts[document.name].append(Fact(at[id(subject)], kind, at[id(target)], quote))
            entities[document.name] = known
        return self.run(name, facts, entities), facts, entities


def _as_gold(name: str, entities: Sequence[Entity], facts: Sequence[Fact]) -> dict[str, object]:
    return {
        "document": name,
        "entities": [{"name": e.name, "type": e.type, "mentions": list(e.mentions)} for e in entities],
        "relationships": [
            {"subject": entities[f.subject].name, "type": f.type, "object": entities[f.object].name, "quote": f.quote}
            for f in facts
        ],
    }


def _citable(chunk: Chunk) -> list[int]:
    return [n for n, turn in enumerate(chunk.turns, 1) if len(_plain(turn.text).split()) >= _FEWEST_WORDS]


def _shares_a_word(names: Iterable[str], text: str) -> bool:
    """Whether the text holds a word of the names, if only in another form: then they are not absent beyond doubt."""
    words = {word[:4] for word in _plain(text).split()}
    return any(word[:4] in words for name in names for word in _plain(name).split() if len(word) > 3 or word.isdigit())


# --- what came of it -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Told:
    """A fact as the server has said it: the words of the turn that it cites, the names of its ends."""

    turn: str
    subject: str
    object: str


class Kept:
    """The statements that a run kept: (subject's form, type, object's form, words of the turn), with their grades."""

    def __init__(self, ledger: Path, grounding: Mapping[str, object]) -> None:
        self.grounding = grounding
        self.stated: dict[tuple[str, str, str], list[tuple[str, int]]] = {}
        with sqlite3.connect(ledger) as db:
            self.chunks = {row[1]: chunks_of(db, row[0]) for row in db.execute("SELECT no, name FROM document")}
            turns = {c.id: c.turns for chunks in self.chunks.values() for c in chunks}
            rows = db.execute(
                "SELECT hex(c.id), s.norm, t.predicate, o.norm, t.turn, t.grade FROM statement t "
                "JOIN chunk c ON c.no = t.chunk JOIN atom s ON s.no = t.subject JOIN atom o ON o.no = t.object"
            )
            ids = {identity.replace("-", "").upper(): identity for identity in turns}
            self.told: dict[tuple[str, str, str], list[Told]] = {}
            answers = db.execute("SELECT hex(c.id), q.answer FROM chunk c JOIN question q ON q.no = c.extract")
            for chunk, answer in answers.fetchall():
                said = json.loads(answer)
                names = [name for name, _ in said["e"]]
                for subject, predicate, target, turn, *_ in said["r"]:
                    told = Told(_plain(turns[ids[chunk]][turn - 1].raw), names[subject], names[target])
                    triple = normal_form(told.subject), predicate, normal_form(told.object)
                    self.told.setdefault(triple, []).append(told)
            for chunk, subject, predicate, target, turn, grade in rows:
                words = _plain(turns[ids[chunk]][turn - 1].raw)
                self.stated.setdefault((subject, predicate, target), []).append((words, grade))

    def as_told(self, entities: Sequence[Entity], fact: Fact) -> Told | None:
        """The fact as the server said it, if it did: a sentence may be lost in cutting or cleaning."""
        quote = _plain(fact.quote)
        told = (each for triple in _triples(entities, fact) for each in self.told.get(triple, ()))
        return next((each for each in told if quote in each.turn), None)

    def grade(self, entities: Sequence[Entity], fact: Fact) -> int | None:
        """The best grade with which a fact was kept; None where it was caught."""
        quote = _plain(fact.quote)
        found = (each for triple in _triples(entities, fact) for each in self.stated.get(triple, ()))
        return min((grade for words, grade in found if quote in words), default=None)


def _triples(entities: Sequence[Entity], fact: Fact) -> Iterator[tuple[str, str, str]]:
    """The forms in which a fact may be told."""
    subjects, targets = (
        {normal_form(name) for name in (entities[end].name, *entities[end].mentions)}
        for end in (fact.subject, fact.object)
    )
    return ((subject, fact.type, target) for subject in subjects for target in targets)


def _share(kept: Counter[bool]) -> float:
    return kept[True] / max(1, kept.total())


def measure(gold: GoldSet, folder: Path, *, show: int) -> None:
    bench = Bench(gold, folder)
    kept = bench.true()
    for document in gold.documents:
        named = (name for name in kept.chunks if Path(name).name.startswith(document.name))
        document.chunks = [chunk for name in named for chunk in kept.chunks[name]]
    table = Table(f"{gold.name}: {len(gold.documents):,} documents")
    grades: Counter[int] = Counter()
    told_names, any_mention = Counter[bool](), Counter[bool]()
    untold = 0
    lost = []
    for document in gold.documents:
        for fact in document.facts:
            told, cited = kept.as_told(document.entities, fact), _cited(document, fact.quote)
            if told is None or cited is None:
                untold += 1
                continue
            grade = kept.grade(document.entities, fact)
            grades[grade if grade is not None else len(GRADES) - 1] += 1
            ends = document.entities[fact.subject], document.entities[fact.object]
            if all(_within_a_turn(*cited, end.mentions) for end in ends):
                any_mention[grade is not None] += 1
            if all(_within_a_turn(*cited, [name]) for name in (told.subject, told.object)):
                told_names[grade is not None] += 1
                if grade is None:
                    lost.append((document.name, told.subject, fact.type, told.object, fact.quote[:200]))
    everything = grades.total()
    table.at_least("true facts whose names stand within one turn of what they cite: kept", _share(told_names), _BAR)
    table.at_most(f"such facts, of {everything:,} (and {untold:,} that were not told)", told_names.total())
    table.at_most("kept of those of which another name does", _share(any_mention - told_names))
    table.at_most("such facts", (any_mention - told_names).total())
    for n, grade_name in enumerate(GRADES):
        table.at_most(f"of all true facts: {grade_name}", grades[n])
    table.at_most("recall over all true facts", 1 - grades[len(GRADES) - 1] / max(1, everything))
    for name, make in (("absent", bench.absent), ("elsewhere", bench.elsewhere), ("far", bench.far)):
        caught, facts, entities = make()
        passed = [(d, f) for d, some in facts.items() for f in some if caught.grade(entities[d], f) is not None]
        count = sum(caught.as_told(entities[d], f) is not None for d, some in facts.items() for f in some)
        table.at_least(f"invented, {name}: caught of {count:,}", 1 - len(passed) / max(1, count), _BAR)
        lost += [
            (name, d, entities[d][f.subject].mentions, f.type, entities[d][f.object].mentions, f.quote[:200])
            for d, f in passed
        ]
    wrong, facts, entities = bench.wrong_pairs()
    passed = sum(wrong.grade(entities[d], f) is not None for d, some in facts.items() for f in some)
    count = sum(wrong.as_told(entities[d], f) is not None for d, some in facts.items() for f in some)
    table.at_most(f"random wrong pairs of names that are said: pass, of {count:,}", passed / max(1, count))
    table.show()
    for each in lost[:show]:
        print("   ", *each, sep=" | ")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", choices=[*SETS, []], help="all of them where none is named")
    parser.add_argument("--gold", type=Path, default=gold_folder(), help="the folder that holds the gold sets")
    parser.add_argument("--show", type=int, default=0, help="so many of the facts that were misjudged")
    chosen = parser.parse_args()
    print(surroundings())
    for name in chosen.sets or SETS:
        if chosen.gold is None and name != "conversations":
            print(f"{name}: not here; give the folder of the gold sets by --gold, or set KG_SHARED_DATA")
            continue
        with tempfile.TemporaryDirectory(prefix="kg-bench-") as folder:
            measure(SETS[name](chosen.gold), Path(folder), show=chosen.show)


if __name__ == "__main__":
    main()
