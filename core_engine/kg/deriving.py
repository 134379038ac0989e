"""From current answers to derived chunks: a model's are checked one by one, the rules' are decided together."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence

import orjson

from core_engine.kg.derive import derive
from core_engine.kg.derived_rows import as_rows
from core_engine.kg.ontology import Ontology
from core_engine.kg.resolver.resolver import Resolver
from core_engine.kg.rules.extractor import READING_VERSION, RULES_VERSION
from core_engine.kg.ruling import RuledWorkspace
from core_engine.ledger import facts, graph
from core_engine.ledger.ledger import LedgerBase
from core_engine.types import Chunk

DERIVE_VERSION = 3
"""Rises whenever the same answer leads to other mentions, statements or scopes: then all are derived again."""

# Keys in the ledger's table of single values.
_STATE = "rules_state"
_NOTES = "rules_notes"
_VERSION = "derive_version"
_UNSUPPORTED = "+unsupported"
_NOTHING = "0:0"


class AnswerDeriver:
    """Derives what chunks say from their current answers, and resolves who is who.

    `keep_unsupported`: also what a model said and the words don't bear out. It is applied here, after the reply, so
    that changing one's mind is free. `resolve`: none, rules or model (rules, and what a model has answered). None, for
    either: as in the workspace's last run.
    """

    def __init__(
        self, workspace: str, ontology: Ontology, resolve: str | None = None, *, keep_unsupported: bool | None = None
    ) -> None:
        self._workspace = workspace
        self._ontology = ontology
        self._resolve = resolve
        self._keep_unsupported = keep_unsupported
        self.warnings: list[str] = []

    def derive(self, stale: graph.StaleChunk, chunk: Chunk) -> graph.DerivedChunk:
        """What a model's answer says that the chunk's words support."""
        keep = self._keep_unsupported
        assert keep is not None, "begin() comes first"
        return as_rows(stale, derive(self._workspace, chunk, stale.answer, self._ontology, keep_unsupported=keep))

    def begin(self, ledger: LedgerBase) -> None:
        """Have what was derived otherwise from models' answers derived again, for free."""
        with ledger.reading() as db:
            before = _saved(db, _VERSION)
        if self._keep_unsupported is None:
            self._keep_unsupported = before is not None and before.endswith(_UNSUPPORTED)
        version = f"{DERIVE_VERSION}{_UNSUPPORTED if self._keep_unsupported else ''}"
        if before != version:
            ledger.write(_begin, version)
        ledger.write(facts.set_single, self._ontology.single)

    def resolve(self, ledger: LedgerBase, look_at_the_clock: Callable[[], None]) -> None:
        """Find which of the names are one."""
        Resolver(self._workspace, self._ontology, look_at_the_clock).resolve(ledger, self._resolve)

    def together(self, ledger: LedgerBase) -> int:
        """Decide which of the rules' candidates are names, from the counts of all chunks in the workspace.

        Nothing happens if neither the set of chunks nor any answer nor this program changed since the last time.
        """
        with ledger.reading() as db:
            specs = _rule_specs(db)
            state, stale = _state(db, list(specs), self._ontology)
            if not stale and state == (_saved(db, _STATE) or _NOTHING):
                self.warnings += orjson.loads(_saved(db, _NOTES) or b"[]")
                return 0
        ruled = RuledWorkspace(self._workspace, self._ontology, ledger, specs)
        changed = ruled.decide()
        notes = ruled.notes()
        self.warnings += notes
        ledger.write(_save, {_STATE: state, _NOTES: orjson.dumps(notes).decode()})
        return changed


def _rule_specs(db: sqlite3.Connection) -> dict[int, bool]:
    """The rules' specs by number, each with whether it is of this version."""
    rows = db.execute("SELECT no, description FROM spec WHERE kind = 'rules' ORDER BY no")
    return {no: orjson.loads(description).get("version") == RULES_VERSION for no, description in rows}


def _state(db: sqlite3.Connection, specs: Sequence[int], ontology: Ontology) -> tuple[str, int]:
    """A text that changes whenever the rules would decide otherwise, and how many of their chunks are stale."""
    row = db.execute(
        "SELECT count(*), total(c.no * 31.0 + c.extract), total(c.stale) FROM chunk c "
        f"JOIN question q ON q.no = c.extract WHERE q.spec IN ({','.join('?' * len(specs))})",
        specs,
    ).fetchone()
    if not row[0]:
        return _NOTHING, 0
    deciding = f"{RULES_VERSION}.{READING_VERSION}.{DERIVE_VERSION}.{ontology.mark}"
    return f"{deciding}:{row[0]}:{row[1]:.0f}", int(row[2])


def _saved(db: sqlite3.Connection, key: str) -> str | None:
    row = db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return row[0] if row else None


def _save(db: sqlite3.Connection, values: Mapping[str, str]) -> None:
    db.executemany("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", values.items())


def _begin(db: sqlite3.Connection, version: str) -> None:
    graph.mark_stale(db, "extract")
    _save(db, {_VERSION: version})
