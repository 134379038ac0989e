"""A ledger with conversations in which named things were found, made without files or a model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import orjson

from core_engine import identity, keys
from core_engine.chunking.cut import cut
from core_engine.kg.deriving import AnswerDeriver
from core_engine.kg.normalise import normal_form
from core_engine.kg.ontology import Ontology
from core_engine.kg.resolver.resolver import Resolver
from core_engine.ledger import documents, questions
from core_engine.ledger.ledger import Ledger
from core_engine.ledger.questions import Wanted
from core_engine.projector import derive_pages
from core_engine.types import Turn
from tests.scenes import Scene

SPEC = keys.Spec("extract", {"model": "m"})
WORKSPACE = "w"


def never() -> None:
    pass


@dataclass
class World:
    """Conversations as `Name: words` lines; what is named in each, by type, is given and not guessed."""

    ledger: Ledger
    ontology: Ontology = field(default_factory=Ontology.default)

    def write(self, name: str, talk: str, size: int = 1200, **named: Sequence[str]) -> None:
        """Store a conversation in place of what was there under that name; `named`: names by type."""
        turns = []
        for line in talk.strip().splitlines():
            speaker, _, words = line.strip().partition(": ")
            turns.append(Turn(words, speaker))
        self.store(name, turns, {n: kind for kind, names in named.items() for n in names}, size)

    def write_scene(self, scene: Scene, document: str) -> None:
        names = {form.name: who.type for who in scene.entities for form in who.forms if form.document == document}
        self.store(document, [Turn(words, speaker) for speaker, words in scene.turns[document]], names)

    def store(self, name: str, turns: Sequence[Turn], named: Mapping[str, str], size: int = 1200) -> None:
        document = identity.document_id(WORKSPACE, name)
        chunks = cut(document, turns, size=size)
        said = orjson.dumps([[turn.speaker, turn.text] for turn in turns]).decode()
        new = documents.NewDocument(document, f"/{name}", "", name, name, {}, identity.digest(said), "{}")
        self.ledger.write(documents.save_document, new, chunks)
        self._answer(named)

    def _answer(self, named: Mapping[str, str]) -> None:
        spec = self.ledger.write(questions.spec_no, SPEC)
        with self.ledger.reading() as db:
            rows = db.execute("SELECT no, content, words FROM chunk WHERE extract IS NULL").fetchall()
        wanted = [Wanted(no, keys.key(SPEC.hash, content), None) for no, content, _ in rows]
        claimed = self.ledger.write(questions.claim, "run", spec, None, wanted)
        answer = orjson.dumps({"e": list(named.items()), "r": []})
        self.ledger.write(questions.answer_extractions, None, [(c.extract[0], answer) for c in claimed if c.extract])

    def drop(self, name: str) -> None:
        with self.ledger.reading() as db:
            (no,) = db.execute("SELECT no FROM document WHERE name = ?", (name,)).fetchone()
        self.ledger.write(documents.drop_document, no)

    def derive(self) -> None:
        deriver = AnswerDeriver(WORKSPACE, self.ontology)
        deriver.begin(self.ledger)
        derive_pages(self.ledger, deriver, never)

    def resolve(self, mode: str | None = None) -> int:
        self.derive()
        return Resolver(WORKSPACE, self.ontology).resolve(self.ledger, mode)

    def groups(self) -> set[frozenset[str]]:
        """Entities of several names, each as its names; a name that belongs to a document as name@document."""
        found: dict[bytes, set[str]] = defaultdict(set)
        with self.ledger.reading() as db:
            for entity, norm, document in db.execute(
                "SELECT DISTINCT a.entity, a.norm, CASE WHEN a.scope = '' THEN '' ELSE d.name END FROM mention m "
                "JOIN atom a ON a.no = m.atom JOIN chunk c ON c.no = m.chunk JOIN document d ON d.no = c.document"
            ):
                found[entity].add(f"{norm}@{document}" if document else norm)
        return {frozenset(names) for names in found.values() if len(names) > 1}

    def together(self, *names: str) -> bool:
        wanted = {_form(name) for name in names}
        return any(wanted <= group for group in self.groups())

    def entities(self) -> dict[tuple[str, str], bytes]:
        """By scope and norm of each atom that is mentioned, its entity."""
        with self.ledger.reading() as db:
            rows = db.execute("SELECT scope, norm, entity FROM atom WHERE no IN (SELECT atom FROM mention)").fetchall()
        return {(scope, norm): entity for scope, norm, entity in rows}

    def edges(self) -> set[tuple]:
        with self.ledger.reading() as db:
            return set(db.execute("SELECT a, b, reason, origin, undone FROM merge_edge").fetchall())

    def reasons(self, one: str, other: str) -> set[str]:
        """The reasons that hold between two names, each `name` or `name@document`."""
        with self.ledger.reading() as db:
            rows = db.execute(
                "SELECT x.norm, x.scope, y.norm, y.scope, e.reason FROM merge_edge e JOIN atom x ON x.id = e.a "
                "JOIN atom y ON y.id = e.b WHERE NOT e.undone"
            ).fetchall()
            names = dict(db.execute("SELECT id, name FROM document").fetchall())
        wanted = {_form(one), _form(other)}

        def label(norm: str, scope: str) -> str:
            return f"{norm}@{names[bytes.fromhex(scope.replace('-', ''))]}" if scope else norm

        return {reason for a, at, b, bt, reason in rows if {label(a, at), label(b, bt)} == wanted}

    def candidates(self) -> set[frozenset[str]]:
        with self.ledger.reading() as db:
            rows = db.execute(
                "SELECT x.norm, y.norm FROM candidate c JOIN atom x ON x.id = c.a JOIN atom y ON y.id = c.b"
            ).fetchall()
        return {frozenset(row) for row in rows}


def _form(name: str) -> str:
    bare, at, document = name.partition("@")
    return normal_form(bare) + at + document
