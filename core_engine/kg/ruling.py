"""Decides what the rules found in a workspace: how each document is written, what each word's casing says, who is who."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

from core_engine.kg.derive import derive_rules
from core_engine.kg.derived_rows import as_rows
from core_engine.kg.ontology import Ontology
from core_engine.kg.rules.casing import Casing
from core_engine.kg.rules.cooccurrence import cooccurrences
from core_engine.kg.rules.extractor import people, read, scan
from core_engine.kg.rules.kinds import ENTITY, PERSON
from core_engine.kg.rules.records import Findings
from core_engine.kg.rules.writing import NOUNS, Writing
from core_engine.ledger import graph
from core_engine.ledger.behind import OneBehind
from core_engine.ledger.documents import document_names, load_chunks
from core_engine.ledger.ledger import LedgerBase
from core_engine.types import Chunk

_PAGE = 500
_AT_ONCE = 2_000  # chunks of one document that are judged together: a longer one is judged in parts
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class _Answered:
    """A chunk with its scan as this version makes it."""

    stale: graph.StaleChunk
    document: int
    scan: bytes
    chunk: Chunk | None


@dataclass(slots=True)
class RuledWorkspace:
    """All that the rules answered in a workspace. `specs` are the rules' specs, with whether they are of this version.

    An answer of an older version is made anew from the chunk, since that costs nothing but time.
    """

    workspace: str
    ontology: Ontology
    ledger: LedgerBase
    specs: Mapping[int, bool]
    _trouble: dict[int, str] = field(default_factory=dict)

    def decide(self) -> int:
        """Derive every chunk; the number of those that changed."""
        writing: dict[int, Writing] = defaultdict(Writing)
        for answered in self._answers():
            writing[answered.document].add(answered.scan)
        self._trouble = {document: trouble for document, each in writing.items() if (trouble := each.trouble)}
        casing = Casing()
        for answered in self._answers():
            casing.add(answered.scan, words=answered.document not in self._trouble)
        with OneBehind(self.ledger) as saving:
            waiting: list[graph.DerivedChunk] = []
            for part in _parts(self._answers(with_chunks=True)):
                waiting += self._derive(part, casing)
                if len(waiting) >= _PAGE:
                    saving.write(graph.save_derived, waiting)
                    waiting = []
            saving.write(graph.save_derived, waiting)
        return saving.changed

    def notes(self) -> list[str]:
        """In which documents names can't be told by rules, and why; after `decide`."""
        documents: dict[str, list[int]] = defaultdict(list)
        for document, trouble in self._trouble.items():
            documents[trouble].append(document)
        with self.ledger.reading() as db:
            return [
                f"{_shown(document_names(db, some[:_SHOWN]), len(some))} {'is' if len(some) == 1 else 'are'} {trouble}: "
                "names can't be told by rules there; use a model (--extractor openai)"
                for trouble, some in sorted(documents.items())
            ]

    def _answers(self, *, with_chunks: bool = False) -> Iterator[_Answered]:
        last = (-1, -1)
        while True:
            with self.ledger.reading() as db:
                page = graph.ruled_chunks(db, last, _PAGE)
                wanted = [each.stale.no for each in page if with_chunks or not self.specs.get(each.spec)]
                chunks = load_chunks(db, wanted)
            if not page:
                return
            last = (page[-1].document, page[-1].seq)
            for each in page:
                chunk = chunks.get(each.stale.no)
                made = each.stale.answer if chunk is None or self.specs.get(each.spec) else scan(chunk.turns)
                yield _Answered(each.stale, each.document, made, chunk)

    def _derive(self, part: Sequence[_Answered], casing: Casing) -> Iterator[graph.DerivedChunk]:
        nouns = self._trouble.get(part[0].document) == NOUNS
        found = [read(answered.scan, casing, nouns=nouns) for answered in part]
        known = people(found)
        for answered, findings in zip(part, found, strict=True):
            if answered.chunk is None:
                continue
            here = _with_people(findings, known)
            pairs = cooccurrences(here.mentions)
            derived = derive_rules(self.workspace, answered.chunk, here.mentions, here.facts, pairs, self.ontology)
            yield as_rows(answered.stale, derived)


def _parts(answers: Iterator[_Answered]) -> Iterator[list[_Answered]]:
    """The chunks of one document, or of a long one so many in a row."""
    for _, group in groupby(answers, key=lambda answered: answered.document):
        part: list[_Answered] = []
        for answered in group:
            part.append(answered)
            if len(part) == _AT_ONCE:
                yield part
                part = []
        if part:
            yield part


def _with_people(findings: Findings, known: Collection[str]) -> Findings:
    """The findings, with names as persons by which the document knows one elsewhere."""
    mentions = tuple(
        replace(mention, type=PERSON) if mention.type == ENTITY and mention.name.casefold() in known else mention
        for mention in findings.mentions
    )
    return replace(findings, mentions=mentions)


def _shown(names: Sequence[str], count: int) -> str:
    more = count - len(names)
    return ", ".join(names) + (f" and {more:,} more" if more else "")
