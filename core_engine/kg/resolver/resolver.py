"""Resolves a workspace: which atoms are one, from all that the ledger holds now. Called at the end of every run.

Only what changed since the last time is looked at: documents with new or other mentions, and blocks of names in which
one is new, gone or said otherwise. What an origin gives depends on the origin alone, and which edges hold on the set of
edges alone, so the entities are the same whatever order files came in, and wherever a run was stopped.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

from core_engine.identity import atom_id, digest
from core_engine.kg.normalise import normal_form
from core_engine.kg.ontology import Ontology
from core_engine.kg.resolver.blocks import MOST, block_rules, keys_of
from core_engine.kg.resolver.persons import persons_rules
from core_engine.kg.resolver.reasons import ALIAS, ONTOLOGY
from core_engine.kg.resolver.settling import settle
from core_engine.kg.scope import PERSON
from core_engine.ledger import corrections, resolution, stores
from core_engine.ledger.ledger import LedgerBase
from core_engine.ledger.resolution import Grounds, Known
from core_engine.ledger.values import to_blob
from core_engine.pages import Spill

RESOLVER_VERSION = 1
"""Rises whenever the rules would find something else in the same mentions: then all is looked at again."""

_PAGE = 200
_ATOMS = 500
_SETTLED = 500
_DOCUMENTS = 200  # of an atom that are looked at: what 200 don't show, more won't
_KEPT = 10_000  # atoms held while blocks are looked at
_DOCUMENTS_KEPT = 100_000  # numbers of documents, of all the atoms together


class Resolver:
    """Applies the rules. `stopping` says that there is no time left: it is asked between pages, and may raise."""

    def __init__(self, workspace: str, ontology: Ontology, stopping: Callable[[], None] = lambda: None) -> None:
        self._workspace = workspace
        self._ontology = ontology
        self._stopping = stopping
        self._person = ontology.entity_type(PERSON) or PERSON
        self._organization = ontology.entity_type("Organization") or "Organization"
        self._known: dict[int, Known | None] = {}
        self._documents: dict[int, set[int]] = {}
        self._documents_kept = 0

    @property
    def _mark(self) -> str:
        return f"{RESOLVER_VERSION}.{self._ontology.mark}.{digest(str(self._named())).hex()}"

    def resolve(self, ledger: LedgerBase, mode: str | None = None) -> int:
        """Bring the entities up to date with the mentions; how many atoms changed theirs. Nothing new takes no time.

        `mode`: none, rules or model (rules, and what a model has answered); None: as it was last time.
        """
        with ledger.reading() as db:
            told = resolution.since(db)
            now = stores.clock(db)
            mode = mode or told.mode
            same = (now, self._mark, mode, self._person) == (told.seen, told.mark, told.mode, told.person)
            if same and not resolution.unfinished(db):
                return 0
        if (mode, self._person) != (told.mode, told.person):
            ledger.write(resolution.begin, mode, self._person)
        if mode != "none":
            seen = told.seen if told.mark == self._mark else 0
            if now > seen or not seen:
                self._look(ledger, seen)
        ledger.write(_save_named, self._workspace, self._named())
        changed, seen = self._settle(ledger, now)
        ledger.write(resolution.note_seen, seen if mode != "none" else told.seen, self._mark)
        self._known.clear()
        self._documents.clear()
        self._documents_kept = 0
        return changed

    # --- looking ----------------------------------------------------------------------------------------------------

    def _look(self, ledger: LedgerBase, seen: int) -> None:
        """Nobody else writes meanwhile, so that each page may be read by itself: a long reading holds up the log."""
        with Spill(2) as documents, Spill() as atoms:
            with ledger.reading() as db:
                documents.add(resolution.changed_documents(db, seen))
                atoms.add((no,) for no in resolution.changed_atoms(db, seen))
            for page in documents.pages(_PAGE):
                self._stopping()
                with ledger.reading() as db:
                    found = [(identity, self._in_document(db, no)) for no, identity in page]
                ledger.write(resolution.save_grounds, found)
            for some in atoms.pages(_ATOMS):
                self._stopping()
                ledger.write(resolution.save_keys, self._keys(ledger, [no for (no,) in some]))
        while blocks := self._blocks(ledger):
            ledger.write(resolution.save_blocks, blocks)

    def _blocks(self, ledger: LedgerBase) -> dict[str, Grounds]:
        """Some of the blocks that are left to look at, with what they give."""
        self._stopping()
        with ledger.reading() as db:
            return {key: self._in_block(db, key) for key in resolution.unlooked(db, _PAGE)}

    def _keys(self, ledger: LedgerBase, numbers: Sequence[int]) -> dict[int, list[str]]:
        with ledger.reading() as db:
            known = {one.no: one for one in resolution.known_atoms(db, numbers)}
        return {no: keys_of(known[no], self._kind) if no in known else [] for no in numbers}

    def _in_document(self, db: sqlite3.Connection, no: int | None) -> Grounds:
        grounds = Grounds()
        if no is not None:
            said = resolution.said_in(db, no, self._person)
            persons_rules(said, lambda chunks: resolution.turns_of(db, chunks), grounds)
        return grounds

    def _in_block(self, db: sqlite3.Connection, key: str) -> Grounds:
        numbers = resolution.block(db, key, MOST)
        if len(numbers) < 2:
            return Grounds()
        return block_rules(key, self._atoms(db, numbers), self._kind, lambda no: self._documents_of(db, no))

    def _atoms(self, db: sqlite3.Connection, numbers: Sequence[int]) -> list[Known]:
        if len(self._known) > _KEPT:
            self._known.clear()
        for no in numbers:
            if no not in self._known:
                self._known[no] = next(iter(resolution.known_atoms(db, [no])), None)
        return [one for no in numbers if (one := self._known[no]) is not None]

    def _documents_of(self, db: sqlite3.Connection, no: int) -> set[int]:
        if (found := self._documents.get(no)) is None:
            if self._documents_kept > _DOCUMENTS_KEPT:
                self._documents.clear()
                self._documents_kept = 0
            found = self._documents[no] = resolution.documents_with(db, no, _DOCUMENTS)
            self._documents_kept += len(found) + 1
        return found

    def _kind(self, type_: str) -> str:
        kind = self._ontology.kind(type_)
        if kind == type_ and type_ == self._organization:
            return "Organization"
        return kind

    def _named(self) -> list[tuple[str, str]]:
        """Pairs of normal forms that the ontology's [names] say are one."""
        return [
            (normal_form(name), normal_form(other)) for name, others in self._ontology.names.items() for other in others
        ]

    # --- settling ---------------------------------------------------------------------------------------------------

    def _settle(self, ledger: LedgerBase, now: int) -> tuple[int, int]:
        """How many atoms changed, and up to where nobody but us has changed anything since `now`."""
        changed, ours = 0, now
        while True:
            self._stopping()
            moved, before, after, left = ledger.write(settle_some)
            changed += moved
            if before == ours:
                ours = after
            if not left:
                return changed, ours


def settle_some(db: sqlite3.Connection) -> tuple[int, int, int, bool]:
    """Settle a page: how many atoms changed, the clock before and after, and whether more are left."""
    before = stores.clock(db)
    atoms = resolution.take_unsettled(db, _SETTLED)
    changed = settle(db, atoms)
    resolution.settled(db, atoms)
    return changed, before, stores.clock(db), resolution.unfinished(db)


def _save_named(db: sqlite3.Connection, workspace: str, named: Sequence[tuple[str, str]]) -> None:
    """Edges that a user gave by names: they reach whatever bears the name, now or later."""
    by_name = Grounds()
    for one, other in named:
        if one and other:
            by_name.edge(to_blob(atom_id(workspace, "", one)), to_blob(atom_id(workspace, "", other)), ONTOLOGY)
    by_alias = Grounds()
    for atom, norm in corrections.aliases(db):
        for bearer in corrections.bearers(db, norm, to_blob(atom_id(workspace, "", norm))):
            by_alias.edge(atom, bearer, ALIAS)
    resolution.save_grounds(db, [(resolution.BY_ONTOLOGY, by_name), (resolution.BY_ALIAS, by_alias)])
