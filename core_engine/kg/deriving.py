"""From current answers to derived chunks: a model's are checked one by one, the rules' are decided together."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence

import orjson

from core_engine.identity import digest
from core_engine.kg.derive import Derived, derive, derive_rules
from core_engine.kg.ontology import Ontology
from core_engine.kg.rules.extractor import Casing, cooccurrences, mentions
from core_engine.ledger import graph
from core_engine.ledger.documents import load_chunks
from core_engine.ledger.ledger import Ledger
from core_engine.types import Chunk

_PAGE = 500
_RULES_STATE = "rules_state"
_NOTHING = "0:0"


class AnswerDeriver:
    """Derives what chunks say from their current answers."""

    def __init__(self, workspace: str, ontology: Ontology) -> None:
        self._workspace = workspace
        self._ontology = ontology
        self.warnings: list[str] = []

    def derive(self, stale: graph.StaleChunk, chunk: Chunk) -> graph.DerivedChunk:
        """What a model's answer says that the chunk's words support."""
        return as_rows(stale, derive(self._workspace, chunk, stale.answer, self._ontology))

    def together(self, ledger: Ledger) -> int:
        """Decide which of the rules' candidates are names, from the counts of all chunks in the workspace.

        Nothing happens if neither the set of chunks nor any answer changed since the last time.
        """
        with ledger.reading() as db:
            specs = [row[0] for row in db.execute("SELECT no FROM spec WHERE kind = 'rules' ORDER BY no")]
            state, stale = _state(db, specs)
            before = db.execute("SELECT value FROM meta WHERE key = ?", (_RULES_STATE,)).fetchone()
            if not stale and state == (before[0] if before else _NOTHING):
                return 0
            casing = Casing()
            for spec in specs:
                for page in _pages(db, spec):
                    for answered in page:
                        casing.add(answered.answer)
        changed = sum(self._decide(ledger, spec, casing) for spec in specs)
        self._note(casing)
        ledger.write(_save_state, state)
        return changed

    def _decide(self, ledger: Ledger, spec: int, casing: Casing) -> int:
        changed = last = 0
        while True:
            with ledger.reading() as db:
                page = graph.answered_chunks(db, spec, last, _PAGE)
                chunks = load_chunks(db, [stale.no for stale in page])
            if not page:
                return changed
            last = page[-1].no
            derived = []
            for stale in page:
                found = mentions(stale.answer, casing)
                derived.append(
                    as_rows(stale, derive_rules(self._workspace, chunks[stale.no], found, cooccurrences(found)))
                )
            changed += ledger.write(graph.save_derived, derived)

    def _note(self, casing: Casing) -> None:
        if casing.lower_cased():
            self.warnings.append(
                "these transcripts are written without capitals, or in capitals throughout: names can't be told by "
                "rules; use a model (--extractor openai)"
            )
        elif casing.uncased():
            self.warnings.append(
                "these transcripts are in a script without capitals: names can't be told by rules; "
                "use a model (--extractor openai)"
            )


def as_rows(stale: graph.StaleChunk, derived: Derived) -> graph.DerivedChunk:
    """Derived values as the ledger stores them, with a hash by which an unchanged result is known."""
    said = [
        graph.AtomMention(
            m.atom,
            m.scope,
            _plain(m.norm),
            _plain(m.name),
            m.type,
            orjson.dumps({"turns": m.turns, "offsets": m.offsets, "start": m.start, "end": m.end}),
        )
        for m in derived.mentions
    ]
    stated = [
        graph.AtomStatement(
            s.subject,
            s.predicate,
            s.object,
            s.turn,
            orjson.dumps(
                {"quote": _plain(s.quote), "speaker": s.speaker and _plain(s.speaker), "start": s.start, "end": s.end}
            ),
        )
        for s in derived.statements
    ]
    return graph.DerivedChunk(
        chunk=stale.no,
        extract=stale.extract,
        hash=_hash(said, stated, derived.cooccurrences),
        dropped=dict(derived.dropped),
        mentions=said,
        statements=stated,
        cooccurrences=derived.cooccurrences,
    )


def _hash(
    said: Sequence[graph.AtomMention],
    stated: Sequence[graph.AtomStatement],
    pairs: Sequence[tuple[str, str]],
) -> bytes:
    return digest(orjson.dumps([said, stated, pairs], default=bytes.decode).decode())


def _plain(text: str) -> str:
    # Neither SQLite nor JSON takes unpaired surrogates.
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _pages(db: sqlite3.Connection, spec: int) -> Iterator[list[graph.StaleChunk]]:
    last = 0
    while page := graph.answered_chunks(db, spec, last, _PAGE):
        yield page
        last = page[-1].no


def _state(db: sqlite3.Connection, specs: Sequence[int]) -> tuple[str, int]:
    """A text that changes whenever a chunk that the rules answered comes or goes, and how many are stale."""
    row = db.execute(
        "SELECT count(*), total(c.no * 31.0 + c.extract), total(c.stale) FROM chunk c "
        f"JOIN question q ON q.no = c.extract WHERE q.spec IN ({','.join('?' * len(specs))})",
        specs,
    ).fetchone()
    return f"{row[0]}:{row[1]:.0f}", int(row[2])


def _save_state(db: sqlite3.Connection, state: str) -> None:
    db.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (_RULES_STATE, state))
