"""Erases a document or a speaker from the ledger; only what calls cost stays.

Everything happens in one commit: an erasure that was killed has either not begun or is whole. The stores follow from
the ledger as after any other change.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import orjson

from core_engine import keys
from core_engine.chunking.serial import pack_turns
from core_engine.kg.grounding import Words
from core_engine.kg.normalise import normal_form
from core_engine.kg.redaction import answer_for, masked, parts_of, pattern_of, redacted
from core_engine.kg.reply import without, without_names
from core_engine.kg.resolver.erasing import erase_atoms
from core_engine.kg.rules.extractor import scan
from core_engine.kg.scope import is_role_label
from core_engine.ledger import documents, forgotten, graph
from core_engine.ledger.documents import StoredDocument
from core_engine.ledger.values import ANSWERED, CHUNK, DOCUMENT, tick, to_blob, to_id, touch
from core_engine.types import Chunk

_PAGE = 500


@dataclass(slots=True)
class Erased:
    """What went, in numbers, and the words by which logs and reports may still name it.

    `to_embed`: chunks that are left with other words, and that the next run has to have embedded anew.
    """

    documents: int = 0
    chunks: int = 0
    turns: int = 0
    answers: int = 0
    calls: int = 0
    to_embed: int = 0
    words: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Named:
    """A document that a user may mean, as it is, or as it was before it was taken out or moved."""

    id: str
    path: str
    record: str
    name: str
    title: str
    content: bytes | None
    no: int | None


# --- documents -------------------------------------------------------------------------------------------------------


def find_documents(db: sqlite3.Connection, target: str, path: str) -> list[Named]:
    """Documents by id, absolute path, or name (`file` or `file#record`), those that are gone included."""
    found = {}
    for no, identity, *where, title, content in db.execute(
        "SELECT no, id, path, record, name, title, content FROM document ORDER BY no"
    ):
        if _meant(target, path, to_id(identity), *where):
            path_, record, name = where
            found[identity] = Named(to_id(identity), path_, record, name, title, content, no)
    former = db.execute("SELECT id, path, record, name FROM former_document ORDER BY path")
    for identity, path_, record, name in former:
        if _meant(target, path, to_id(identity), path_, record, name):
            still = documents.document_with_id(db, to_id(identity))
            gone = Named(to_id(identity), path_, record, name, "", None, None)
            found.setdefault(identity, _now(still) if still else gone)
    return list(found.values())


def _now(stored: StoredDocument) -> Named:
    return Named(stored.id, stored.path, stored.record, stored.name, stored.title, stored.content, stored.no)


def _meant(target: str, path: str, identity: str, its_path: str, record: str, name: str) -> bool:
    forms = {identity, name} | ({f"{name}#{record}", f"{its_path}#{record}"} if record else set())
    return target in forms or path == its_path or (bool(record) and path == f"{its_path}#{record}")


def erase_documents(db: sqlite3.Connection, named: Sequence[Named]) -> Erased:
    """Take documents out with their chunks, the answers and replies about them, and what they alone had named."""
    erased = Erased()
    contents: set[bytes] = set()
    words: set[bytes] = set()
    for one in named:
        identity = to_blob(one.id)
        erased.words |= _words_of(db, one)
        erased.documents += 1
        if one.no is not None:
            rows = db.execute("SELECT id FROM chunk WHERE document = ?", (one.no,)).fetchall()
            erased.chunks += len(rows)
            erased.words |= {to_id(row[0]) for row in rows}
            documents.drop_document(db, one.no)
        former = db.execute("SELECT content, words FROM former_chunk WHERE document = ?", (identity,)).fetchall()
        contents |= {row[0] for row in former}
        words |= {row[1] for row in former}
        db.execute("DELETE FROM former_chunk WHERE document = ?", (identity,))
        db.execute("DELETE FROM former_document WHERE id = ?", (identity,))
        # A file of several documents, or of one in parts: it is left out, and recalled, as a whole.
        about = forgotten.document_key(one.path) if len(named) > 1 else identity
        forgotten.remember(db, about, [*_marks(one), *([about] if len(named) > 1 else [])])
    questions = _questions_about(db, contents, words)
    _erase_questions(db, questions, erased, {})
    return erased


def _marks(one: Named) -> Iterator[bytes]:
    """The hashes by which the document is known when it comes again, or when the command is given again."""
    if one.path != "-":
        yield forgotten.document_key(one.path, one.record)
    if one.content:
        yield forgotten.content_key(one.content)
    for form in (one.id, one.name, f"{one.name}#{one.record}"):
        yield forgotten.name_key(form)


def _words_of(db: sqlite3.Connection, one: Named) -> set[str]:
    """How logs and reports name a document: also by the names that it had before."""
    rows = [(one.path, one.record, one.name)]
    rows += db.execute("SELECT path, record, name FROM former_document WHERE id = ?", (to_blob(one.id),)).fetchall()
    named = {
        word
        for path, record, name in rows
        for word in (path, *_as_given(path), name, record, f"{name}#{record}")
        if word not in {"", "-"}
    }
    # What is called after its file goes by the file's name: "status" alone is a word of every report.
    title = "" if one.title in {Path(name).stem for _, _, name in rows} else one.title
    return named | {one.id, title} - {""}


def _as_given(path: str) -> list[str]:
    """The path as a command may have named it, from some folder on the way."""
    parts = Path(path).parts
    return [str(Path(*parts[at:])) for at in range(1, len(parts))]


def _questions_about(
    db: sqlite3.Connection, contents: Iterable[bytes], words: Iterable[bytes]
) -> dict[int, bytes | None]:
    """The questions about these texts that no chunk has any more, with their answers."""
    specs = db.execute("SELECT hash, kind FROM spec").fetchall()
    found = {}
    for column, texts, of_embedding in (("content", contents, False), ("words", words, True)):
        db.execute("CREATE TEMP TABLE IF NOT EXISTS text (hash BLOB PRIMARY KEY) WITHOUT ROWID")
        db.execute("DELETE FROM temp.text")
        db.executemany("INSERT OR IGNORE INTO temp.text VALUES (?)", [(text,) for text in texts])
        db.execute(f"DELETE FROM temp.text WHERE hash IN (SELECT {column} FROM chunk)")
        for (text,) in db.execute("SELECT hash FROM temp.text").fetchall():
            for spec, kind in specs:
                if (kind == "embed") is of_embedding:
                    row = db.execute(
                        "SELECT no, answer FROM question WHERE key = ?", (keys.key(spec, text),)
                    ).fetchone()
                    if row:
                        found[row[0]] = None if of_embedding else row[1]
    return found


# --- speakers --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Speaking:
    """Where somebody speaks: the document, and how often."""

    document: StoredDocument
    turns: int


def find_speaker(db: sqlite3.Connection, name: str) -> list[Speaking]:
    """The documents in which somebody of that name speaks (its normal form counts: case and titles don't)."""
    norm = normal_form(name)
    turns: dict[str, int] = {}
    for _, chunk in _all_chunks(db):
        said = sum(_is(turn.speaker, norm) for turn in chunk.turns)
        if said:
            turns[chunk.document_id] = turns.get(chunk.document_id, 0) + said
    found = ((documents.document_with_id(db, identity), count) for identity, count in turns.items())
    return [Speaking(stored, count) for stored, count in found if stored]


def is_label(name: str) -> bool:
    """Whether that is a label ("Speaker 3", "Project Manager"), which means another person in each document."""
    return is_role_label(normal_form(name))


def erase_speaker(db: sqlite3.Connection, name: str, speaking: Sequence[Speaking], *, everywhere: bool) -> Erased:
    """Take out what somebody said in these documents, the name, and what answers and replies say of both.

    With `everywhere` (not for labels) others' words in all documents lose the name too.
    """
    norm = normal_form(name)
    erased = Erased(words={name})
    label = is_label(name)
    spoken = {one.document.id for one in speaking}
    aliases = {} if label else _aliases(db, norm)
    replaced: dict[bytes, list[tuple[Chunk, Chunk]]] = {}
    gone: list[int] = []
    now = tick(db)
    for no, chunk in _all_chunks(db):
        here = chunk.document_id in spoken
        if not here and not everywhere:
            continue
        others = {word for speaker in chunk.speakers if not _is(speaker, norm) for word in speaker.split()}
        parts = set(parts_of(name)) - others if here else set()
        pattern = None if label else pattern_of({name, *aliases.get(no, ())}, parts)
        after = redacted(chunk, norm if here else "", pattern)
        if after == chunk:
            continue
        erased.turns += sum(_is(turn.speaker, norm) for turn in chunk.turns) if here else 0
        if not any(turn.raw for turn in after.turns):
            gone.append(no)
            erased.chunks += 1
            continue
        replaced.setdefault(keys.content(chunk), []).append((chunk, after))
        erased.to_embed += _replace(db, no, after, now)
    graph.drop_chunks(db, gone, now)
    db.execute("DELETE FROM alias WHERE norm = ?", (norm,))
    touched = _rekey(db, replaced)
    everyone = pattern_of({name, *(alias for some in aliases.values() for alias in some)})
    _mask_documents(db, None if label else everyone, spoken, now, everywhere=everywhere)
    paths = ("",) if everywhere else tuple(one.document.path for one in speaking)
    for path in paths:
        key = forgotten.speaker_key(norm, path)
        forgotten.remember(db, key, [key])
    orphans = _orphans(db)
    # Who spoke in an older version of a text is known no more, so answers about all older versions go.
    _erase_questions(db, orphans, erased, touched)
    db.execute("DELETE FROM former_chunk")
    return erased


def _aliases(db: sqlite3.Connection, norm: str) -> dict[int, set[str]]:
    """By chunk, the names by which it speaks of the entity that has this normal form."""
    found: dict[int, set[str]] = {}
    rows = db.execute(
        "SELECT m.chunk, m.name FROM atom a JOIN atom b ON b.entity = a.entity JOIN mention m ON m.atom = b.no WHERE a.norm = ?",
        (norm,),
    )
    for chunk, name in rows:
        found.setdefault(chunk, set()).add(name)
    return found


def _replace(db: sqlite3.Connection, no: int, chunk: Chunk, now: int) -> int:
    """1 where the chunk has to be embedded anew, 0 where not."""
    content, words = keys.content(chunk), keys.words(chunk)
    outdated = db.execute(
        "UPDATE chunk SET embed = NULL, want_embed = NULL "
        "WHERE no = ? AND words != ? AND (embed IS NOT NULL OR want_embed IS NOT NULL)",
        (no, words),
    ).rowcount
    db.execute(
        "UPDATE chunk SET content = ?, words = ?, turns = ?, context = ?, name = ?, stale = extract IS NOT NULL WHERE no = ?",
        (content, words, pack_turns(chunk.turns), orjson.dumps(chunk.context), chunk.name, no),
    )
    touch(db, CHUNK, [to_blob(chunk.id)], now)
    return outdated


def _rekey(db: sqlite3.Connection, replaced: dict[bytes, list[tuple[Chunk, Chunk]]]) -> dict[int, set[str]]:
    """Carry the answers over to the chunks as they are now, less what these no longer hold.

    By the questions' numbers, the names that they were answered with.
    """
    specs = db.execute("SELECT hash, kind FROM spec WHERE kind != 'embed'").fetchall()
    touched: dict[int, set[str]] = {}
    for content, pairs in replaced.items():
        before, after = pairs[0]  # equal contents were changed alike
        for spec, kind in specs:
            row = db.execute(
                "SELECT no, state, answer FROM question WHERE key = ?", (keys.key(spec, content),)
            ).fetchone()
            if row is None:
                continue
            no, state, answer = row
            touched[no] = set(_names_in(answer)) if answer else set()
            if state == ANSWERED and answer is not None:
                answer = scan(after.turns) if kind == "rules" else answer_for(after, before, answer)
            key = keys.key(spec, keys.content(after))
            taken = db.execute("SELECT no FROM question WHERE key = ? AND no != ?", (key, no)).fetchone()
            if taken:
                for column in ("extract", "want_extract"):
                    db.execute(f"UPDATE chunk SET {column} = ? WHERE {column} = ?", (taken[0], no))
                db.execute("DELETE FROM question WHERE no = ?", (no,))
            else:
                db.execute("UPDATE question SET key = ?, answer = ? WHERE no = ?", (key, answer, no))
    return touched


def _mask_documents(
    db: sqlite3.Connection, pattern: re.Pattern[str] | None, spoken: set[str], now: int, *, everywhere: bool
) -> None:
    for no, identity, title, metadata in db.execute("SELECT no, id, title, metadata FROM document").fetchall():
        if not everywhere and to_id(identity) not in spoken:
            continue
        said = {masked(key, pattern): masked(value, pattern) for key, value in orjson.loads(metadata).items()}
        changed = (masked(title, pattern), orjson.dumps(said).decode())
        if changed != (title, metadata):
            db.execute("UPDATE document SET title = ?, metadata = ? WHERE no = ?", (*changed, no))
            touch(db, DOCUMENT, [identity], now)


def _orphans(db: sqlite3.Connection) -> dict[int, bytes | None]:
    """Questions that no chunk could ask now, whatever the model: their texts are gone. Those about pairs of names stay."""
    specs = db.execute("SELECT hash, kind FROM spec WHERE kind != 'resolve'").fetchall()
    db.execute("CREATE TEMP TABLE IF NOT EXISTS askable (key BLOB PRIMARY KEY) WITHOUT ROWID")
    db.execute("DELETE FROM temp.askable")
    for content, words in db.execute("SELECT content, words FROM chunk"):
        some = [(keys.key(spec, words if kind == "embed" else content),) for spec, kind in specs]
        db.executemany("INSERT OR IGNORE INTO temp.askable VALUES (?)", some)
    rows = db.execute(
        "SELECT q.no, s.kind, q.answer FROM question q JOIN spec s ON s.no = q.spec "
        "WHERE s.kind != 'resolve' AND q.key NOT IN (SELECT key FROM temp.askable)"
    )
    return {no: None if kind == "embed" else answer for no, kind, answer in rows}


def _all_chunks(db: sqlite3.Connection) -> Iterator[tuple[int, Chunk]]:
    last = 0
    while True:
        numbers = [r[0] for r in db.execute("SELECT no FROM chunk WHERE no > ? ORDER BY no LIMIT ?", (last, _PAGE))]
        if not numbers:
            return
        last = numbers[-1]
        yield from documents.load_chunks(db, numbers).items()


def _is(speaker: str | None, norm: str) -> bool:
    return bool(norm) and bool(speaker) and normal_form(speaker or "") == norm


# --- questions, calls and names --------------------------------------------------------------------------------------


def _erase_questions(
    db: sqlite3.Connection, questions: dict[int, bytes | None], erased: Erased, touched: Mapping[int, set[str]]
) -> None:
    """Delete questions with their answers, and from replies what is said about them and about those `touched`.

    A model may have put a name of one chunk into its neighbour's answer: where that one's words lack it, it goes too.
    """
    erased.answers += sum(answer is not None for answer in questions.values())
    names = {norm for answer in questions.values() if answer for norm in _names_in(answer)}
    names = names.union(*touched.values())
    db.executemany("DELETE FROM question WHERE no = ?", [(no,) for no in questions])
    neighbours = _Neighbours(db, names)
    changed = []
    for no, packed, reply in db.execute("SELECT no, questions, reply FROM call"):
        asked = orjson.loads(packed)
        about = {at for at, question in enumerate(asked, 1) if question in questions or question in touched}
        if not about:
            continue
        erased.calls += 1
        left = None
        if reply is not None and len(about) < len(asked):
            left = without(reply.decode("utf-8", "replace"), len(asked), about, neighbours.gone_in(asked))
        kept = None if left is None else left.encode("utf-8", "surrogatepass")
        changed.append((orjson.dumps([0 if question in questions else question for question in asked]), kept, no))
        neighbours.clear(question for at, question in enumerate(asked, 1) if at not in about)
    db.executemany("UPDATE call SET questions = ?, reply = ?, error = '', parsed = 1 WHERE no = ?", changed)


class _Neighbours:
    """Chunks that were asked about in one request with what is erased. `names` (normal forms) are what was said there."""

    def __init__(self, db: sqlite3.Connection, names: set[str]) -> None:
        self._db = db
        self._names = names
        self._words: dict[int, tuple[Words, set[str]] | None] = {}
        self._cleared: set[int] = set()

    def gone_in(self, asked: Sequence[int]) -> Callable[[int, str], bool]:
        """Whether a name goes from the answer to the question at that place (from 1) of a request."""
        return lambda at, name: self._gone(asked[at - 1], name)

    def clear(self, questions: Iterable[int]) -> None:
        """Take the names out of the answers to these questions."""
        for no in set(questions) - self._cleared:
            self._cleared.add(no)
            row = self._db.execute(
                "SELECT q.answer FROM question q JOIN spec s ON s.no = q.spec "
                "WHERE q.no = ? AND s.kind = 'extract' AND q.answer IS NOT NULL",
                (no,),
            ).fetchone()
            if row and any(self._gone(no, name) for name, _ in orjson.loads(row[0])["e"]):
                answer = without_names(row[0], partial(self._gone, no))
                self._db.execute("UPDATE question SET answer = ? WHERE no = ?", (answer, no))

    def _gone(self, question: int, name: str) -> bool:
        norm = normal_form(name)
        return norm in self._names and not self._holds(question, name, norm)

    def _holds(self, question: int, name: str, norm: str) -> bool:
        if question not in self._words:
            self._words[question] = self._words_of(question)
        known = self._words[question]
        return known is not None and (norm in known[1] or bool(known[0].places(name)))

    def _words_of(self, question: int) -> tuple[Words, set[str]] | None:
        row = self._db.execute("SELECT no FROM chunk WHERE extract = ? LIMIT 1", (question,)).fetchone()
        if row is None:
            return None
        (chunk,) = documents.load_chunks(self._db, [row[0]]).values()
        return Words(chunk), {normal_form(speaker) for speaker in chunk.speakers}


def _names_in(answer: bytes) -> Iterator[str]:
    """The normal forms of the names in a model's answer; nothing for the rules', which stand for no other chunk."""
    try:
        payload = orjson.loads(answer)
        yield from (normal_form(name) for name, _ in payload["e"])
    except (ValueError, KeyError, TypeError):
        return


def erase_names(db: sqlite3.Connection) -> int:
    """Delete the names that no chunk mentions any more; how many. What others merged through them stays merged."""
    lone = [row[0] for row in db.execute("SELECT id FROM atom WHERE no NOT IN (SELECT atom FROM mention)")]
    erase_atoms(db, lone)
    db.executemany("DELETE FROM atom WHERE id = ?", [(identity,) for identity in lone])
    return len(lone)
