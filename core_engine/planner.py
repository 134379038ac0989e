"""The planner: reads files, cuts them, asks the ledger what is already answered, and yields batches of the rest.

It runs in a thread of its own, so that reading never stalls a call in flight, and it is a generator, so that a
million chunks take no more memory than a thousand: the pipeline's bounded queue holds it back.
"""

from __future__ import annotations

import itertools
import logging
import os
import re
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Concatenate, ParamSpec

import orjson

from core_engine import identity, keys
from core_engine.chunking.clean import CLEAN_VERSION
from core_engine.chunking.cut import CUT_VERSION, cut, keep_ready, recut
from core_engine.errors import KGError, NotATranscript, Unreadable
from core_engine.kg.redaction import without_speakers
from core_engine.ledger import documents, forgotten, questions
from core_engine.ledger.ledger import Ledger
from core_engine.ledger.questions import Claim, Wanted
from core_engine.progress import Progress, Trouble
from core_engine.readers.content import Fingerprint, fingerprint
from core_engine.readers.parts import record_of_part, record_of_whole
from core_engine.readers.presence import Presence, storable
from core_engine.readers.registry import read
from core_engine.readers.sources import Source, absolute, compiled, discover
from core_engine.settings import Settings
from core_engine.types import Batch, BatchItem, Chunk, Problem, Transcript

P = ParamSpec("P")

log = logging.getLogger("kg.planner")

_BATCH_CHARS = 60_000  # about 15,000 tokens: a batch of large ready chunks must still fit a small context window
_BOTH = frozenset({"extract", "embed"})
_PART = re.compile(r"(?:(.*) )?part \d+", re.DOTALL)
_PARTS_HELD = 3  # what was held whole so far has at most two parts; one more if words were added above them too
_EMBED_ONLY = 200  # chunks of a batch that needs no extraction


@dataclass(frozen=True, slots=True)
class Plan:
    """What to read and how to cut it. Sizes in characters.

    With `only`, nothing is read: these chunks of the ledger are asked about again, for these kinds of questions
    (chunk number → extract, embed).
    """

    workspace: str
    paths: tuple[str, ...]
    exclude: tuple[str, ...] = ()
    chunk_size: int = 1200
    clean: bool = True
    batch_size: int = 10
    limit: int | None = None
    rechunk: bool = False
    prune: bool = False
    only: Mapping[int, frozenset[str]] | None = None
    personas: Mapping[str, str] = field(default_factory=dict)  # by glob of a file's name; the first that fits counts


def plan_of(
    settings: Settings,
    paths: tuple[str, ...],
    exclude: tuple[str, ...] = (),
    *,
    limit: int | None = None,
    prune: bool = False,
    rechunk: bool = False,
) -> Plan:
    """A plan by the settings."""
    return Plan(
        workspace=settings.workspace,
        paths=paths,
        exclude=exclude,
        chunk_size=settings.chunk_size,
        clean=settings.clean,
        batch_size=settings.batch_size,
        limit=limit,
        prune=prune,
        rechunk=rechunk,
        personas=settings.path_personas,
    )


@dataclass(frozen=True, slots=True)
class Variant:
    """One of several ways to ask, on trial. `until`: documents whose share lies below it, and not below another's, are its."""

    extract: keys.Spec
    extract_no: int
    until: float


@dataclass(frozen=True, slots=True)
class Asked:
    """The two specs of a run, with their numbers in the ledger. `embed` is None where nothing is to be embedded.

    `trial`: the ways to extract that are compared, in order of `until`; `extract` is the first of them.
    """

    extract: keys.Spec
    extract_no: int
    embed: keys.Spec | None
    embed_no: int | None
    trial: tuple[Variant, ...] = ()

    def variant(self, document_id: str) -> int:
        """Which of the trial's ways a document is asked by: always the same one, whatever else is in the run."""
        share = identity.share(document_id)
        return next((number for number, one in enumerate(self.trial) if share < one.until), max(len(self.trial) - 1, 0))

    def way(self, variant: int) -> tuple[keys.Spec, int]:
        """What is asked there, and its number in the ledger."""
        if not self.trial:
            return self.extract, self.extract_no
        return self.trial[variant].extract, self.trial[variant].extract_no


@dataclass(slots=True)
class _Waiting:
    """Chunks that are gathered for the next batch. `last`: document and place of the one that was added last."""

    items: list[BatchItem] = field(default_factory=list)
    chars: int = 0
    last: tuple[int, int] | None = None


@dataclass(slots=True)
class _Taken:
    """What was found in one file: the records of its documents, those of them that come in parts, and its problems."""

    records: set[str] = field(default_factory=set)
    in_parts: set[str] = field(default_factory=set)
    problems: int = 0

    def add(self, transcript: Transcript, *, was_in_parts: bool) -> None:
        self.records.add(storable(transcript.record))
        if transcript.part or was_in_parts:
            self.in_parts.add(storable(record_of_whole(transcript)))

    def is_part(self, record: str) -> bool:
        """Whether this is a part of a document that was found: in parts now, or whole again."""
        match = _PART.fullmatch(record)
        whole = (match[1] or "") if match else None
        return whole in self.in_parts or (whole == "" and "" in self.records)


class Planner:
    """Yields a run's batches. Call stop() from any thread to end it early."""

    def __init__(self, ledger: Ledger, run: str, plan: Plan, asked: Asked, progress: Progress) -> None:
        self._ledger = ledger
        self._run = run
        self._plan = plan
        self._asked = asked
        self._progress = progress
        self._stopping = threading.Event()
        self._seen_paths: set[str] = set()
        self._presence = Presence()
        self._waiting = [_Waiting() for _ in asked.trial or (asked,)]
        self._remembered: Future[None] | None = None
        self._personas = [(compiled(pattern), persona) for pattern, persona in plan.personas.items()]
        with ledger.reading() as db:
            self._forgotten = forgotten.load(db)

    def stop(self) -> None:
        self._stopping.set()

    def batches(self) -> Iterator[Batch]:
        """All batches of the run, in the order of files, documents and chunks."""
        if self._plan.only is not None:
            yield from self._again(self._plan.only)
            return
        for found in discover(self._plan.paths, self._plan.exclude):
            if self._done():
                break
            if isinstance(found, Unreadable):
                self._unreadable(found)
                continue
            yield from self._source(found)
        else:
            if not self._stopping.is_set():
                self._vanished()
        self._progress.planned = not self._stopping.is_set()
        if self._remembered:
            self._remembered.result()
        yield from self._flush_all()

    def _again(self, only: Mapping[int, frozenset[str]]) -> Iterator[Batch]:
        with self._ledger.reading() as db:
            stored = documents.documents_of_chunks(db, only)
        for document in stored:
            self._progress.documents["seen"] += 1
            yield from self._document(document)
        self._progress.planned = not self._stopping.is_set()
        yield from self._flush_all()

    def _done(self) -> bool:
        limit = self._plan.limit
        return self._stopping.is_set() or (limit is not None and self._progress.chunks >= limit)

    # --- files ------------------------------------------------------------------------------------------------------

    def _source(self, source: Source) -> Iterator[Batch]:
        try:
            yield from self._file(source)
        except KGError:
            raise
        except Exception as error:  # a mistake of ours about one file must not take the others down
            log.exception("%s", source.shown)
            self._unreadable(Unreadable(source.shown, f"could not be read: {error!r}; please report this"))

    def _file(self, source: Source) -> Iterator[Batch]:
        path = path_of(source)
        self._seen_paths.add(path)
        if self._forgotten.document(path, ""):
            self._skip_erased(storable(source.name), "")
            return
        began = time.monotonic()
        try:
            mark = fingerprint(source)
        except Unreadable as error:
            self._unreadable(error)
            return
        finally:
            self._progress.read_s += time.monotonic() - began
        with self._ledger.reading() as db:
            known = documents.source(db, path)
        if known and known.sha256 == mark.sha256 and not self._plan.rechunk:
            yield from self._unchanged(known)
        else:
            yield from self._read(source, path, mark)

    def _unchanged(self, known: documents.SourceRow) -> Iterator[Batch]:
        if known.status == "skipped":
            self._progress.skipped.append(Trouble(_printable(known.name), known.reason))
            self._vanished_records(known.path, _Taken())
            return
        with self._ledger.reading() as db:
            stored = documents.documents_of(db, known.path)
        for document in stored:
            if self._done():
                return
            self._progress.documents["seen"] += 1
            yield from self._document(document)

    def _read(self, source: Source, path: str, mark: Fingerprint) -> Iterator[Batch]:
        shown = storable(source.name)
        self._progress.read_calls += 1
        took = _Taken()
        try:
            reading = read(source, mark)
            transcripts = self._transcripts(shown, path, reading.items, took)
            for transcript in transcripts:
                if self._done():
                    return
                for stored in self._stored(source, path, transcript, transcripts, took):
                    yield from self._document(stored)
        except NotATranscript as skipped:
            self._progress.skipped.append(Trouble(_where(shown, skipped.line, None), _printable(skipped.reason)))
            self._remember(source, path, mark, "", "skipped", _printable(skipped.reason))
            self._vanished_records(path, took)
            return
        except Unreadable as error:
            self._unreadable(error)
            return
        if not took.problems:
            # Only a file that was read to its end is known: one with bad lines is read, and complained of, each time.
            self._remember(source, path, mark, reading.format, "read", "")
            self._vanished_records(path, took)

    def _transcripts(
        self, shown: str, path: str, items: Iterator[Transcript | Problem], took: _Taken
    ) -> Iterator[Transcript]:
        while True:
            began = time.monotonic()
            item = next(items, None)
            self._progress.read_s += time.monotonic() - began
            if item is None:
                return
            if isinstance(item, Problem):
                took.problems += 1
                self._trouble(shown, item)
            elif self._was_erased(path, item):
                self._skip_erased(shown, storable(item.record))
            else:
                yield item

    def _was_erased(self, path: str, transcript: Transcript) -> bool:
        known = self._forgotten
        return bool(known.keys) and (
            known.document(path, storable(transcript.record)) or known.content(_content(transcript))
        )

    def _skip_erased(self, name: str, record: str) -> None:
        reason = "erased with `kg forget`; with --recall it is read again"
        self._progress.skipped.append(Trouble(_named(name, record), reason))

    def _stored(
        self, source: Source, path: str, transcript: Transcript, rest: Iterator[Transcript], took: _Taken
    ) -> list[documents.StoredDocument]:
        """The transcript as a document. Of one that has outgrown being held whole, the next parts come with it.

        The first part goes on as the document that there was, and is stored last: until then that document's chunks
        are there for the other parts to keep, whatever happens.
        """
        before = self._outgrown(path, transcript)
        held = [transcript, *itertools.islice(rest, _PARTS_HELD - 1)] if before else [transcript]
        found = []
        for one in reversed(held):
            kept = before if one is not transcript and record_of_whole(one) == record_of_whole(transcript) else ()
            found.append(self._store(source, path, one, took, kept))
        return found[::-1]

    def _outgrown(self, path: str, transcript: Transcript) -> list[Chunk]:
        """The chunks of the document that the transcript is the first part of, where that was a single one so far."""
        if transcript.part != 1:
            return []
        with self._ledger.reading() as db:
            if documents.document_at(db, path, storable(transcript.record)):
                return []
            whole = documents.document_at(db, path, storable(record_of_whole(transcript)))
            return documents.chunks_of(db, whole.no) if whole else []

    def _remember(self, source: Source, path: str, mark: Fingerprint, format_: str, status: str, reason: str) -> None:
        row = documents.SourceRow(
            path, storable(source.root), storable(source.name), mark.sha256, mark.size, format_, status, reason
        )
        self._note(documents.save_source, row)

    def _note(
        self, work: Callable[Concatenate[sqlite3.Connection, P], None], *args: P.args, **kwargs: P.kwargs
    ) -> None:
        """Have something noted that the next plan would only find out again. Not waited for: what fails is told later."""
        self._remembered, before = self._ledger.submit(work, *args, **kwargs), self._remembered
        if before:
            before.result()

    def _unreadable(self, error: Unreadable) -> None:
        self._trouble(error.path, error)

    def _trouble(self, name: str, what: Problem | Unreadable) -> None:
        where = _where(name, what.line, what.column)
        reason = _printable(what.reason)
        self._progress.unreadable.append(Trouble(where, reason))
        self._progress.unreadable_files.add(name)
        log.error("%s: %s", where, reason)

    # --- documents --------------------------------------------------------------------------------------------------

    def _store(
        self, source: Source, path: str, transcript: Transcript, took: _Taken, kept: Sequence[Chunk] = ()
    ) -> documents.StoredDocument:
        """The transcript as a stored document: found again, moved, cut anew, or new.

        `kept` are chunks of another document that it may keep, besides its own.
        """
        began = time.monotonic()
        plan, count = self._plan, self._progress.documents
        count["seen"] += 1
        name, record = storable(source.name), storable(transcript.record)
        content = _content(transcript)  # as it was read, so that it is known under another name
        if self._forgotten.keys:
            transcript = without_speakers(transcript, lambda norm: self._forgotten.speaker(norm, path))
        for warning in transcript.warnings:
            self._progress.warnings.append(Trouble(_named(name, record), _printable(warning)))
        recipe = orjson.dumps(
            {"size": plan.chunk_size, "clean": plan.clean, "v": [CUT_VERSION, CLEAN_VERSION]}
        ).decode()
        with self._ledger.reading() as db:
            known = self._known(db, path, name, transcript, content, took)
            old = documents.chunks_of(db, known.no) if known and known.content != content else []
            whole_again = known is not None and known.path == path and known.record != record and not transcript.part
            if whole_again:
                kept = _chunks_of_parts(db, path, record)
        took.add(transcript, was_in_parts=whole_again)
        if known and (known.path != path or known.record != record):
            self._ledger.write(documents.move_document, known.no, path, record, name)
            count["renamed"] += known.path != path
            known = replace(known, path=path, record=record, name=name)
        if known and known.content == content and not plan.rechunk:
            self._progress.plan_s += time.monotonic() - began
            return known
        identity_ = known.id if known else self._new_id(path, name, record)
        if transcript.ready is not None:
            chunks = keep_ready(identity_, transcript, clean=plan.clean)
        elif old or kept:
            chunks = recut(identity_, transcript.turns, [*old, *kept], size=plan.chunk_size, clean=plan.clean)
        else:
            chunks = cut(identity_, transcript.turns, size=plan.chunk_size, clean=plan.clean)
        document = documents.NewDocument(
            id=identity_,
            path=path,
            record=record,
            name=name,
            title=storable(transcript.title or record or Path(name).stem),
            metadata={storable(key): storable(value) for key, value in transcript.metadata.items()},
            content=content,
            cut=recipe,
        )
        no = self._ledger.write(documents.save_document, document, chunks)
        count["changed" if known else "new"] += 1
        self._progress.plan_s += time.monotonic() - began
        return documents.StoredDocument(no, identity_, path, record, name, document.title, content)

    def _known(
        self, db: sqlite3.Connection, path: str, name: str, transcript: Transcript, content: bytes, took: _Taken
    ) -> documents.StoredDocument | None:
        """Law 4: known by path; else by equal content whose old path has vanished; else by the id of a moved folder.

        The whole and the first part of it are one document: which of them a file is depends on its size. (But not where
        the file has another document of that name.)
        """
        record = storable(transcript.record)
        if found := documents.document_at(db, path, record):
            return found
        if transcript.part <= 1:
            twin = record_of_whole(transcript) if transcript.part else record_of_part(transcript.record, 1)
            found = documents.document_at(db, path, storable(twin))
            if found and found.record not in took.records:
                return found
        for other in documents.documents_with_content(db, content):
            if other.record == record and self._has_vanished(other.path):
                return other
        same_name = documents.document_with_id(db, identity.document_id(self._plan.workspace, name, record))
        if same_name and self._has_vanished(same_name.path):
            return same_name
        return None

    def _has_vanished(self, path: str) -> bool:
        return path != "-" and path not in self._seen_paths and not self._presence.has(path)

    def _new_id(self, path: str, name: str, record: str) -> str:
        """The id by the name relative to PATH; where another folder has the same name there, by ever more of the path."""
        parents = [part for part in Path(path).parts[:-1] if part]
        longer = name
        with self._ledger.reading() as db:
            while True:
                found = identity.document_id(self._plan.workspace, longer, record)
                if documents.document_with_id(db, found) is None:
                    return found
                longer = f"{parents.pop()}/{longer}" if parents else f"./{longer}"

    def _vanished(self) -> None:
        """Documents under the PATHS whose file is gone: told, and with --prune taken out (law 4)."""
        gone: dict[int, tuple[int, str, str, str]] = {}
        for given in self._plan.paths:
            if given == "-" or not _holds_something(Path(given)):
                continue  # an empty or unmounted folder removes nothing
            with self._ledger.reading() as db:
                rows = documents.below(db, storable(os.path.join(absolute(given), "")))  # noqa: PTH118  its separator
            gone |= {row[0]: row for row in rows if self._has_vanished(row[1])}
        self._prune([gone[no] for no in sorted(gone)])

    def _vanished_records(self, path: str, took: _Taken) -> None:
        """Documents of a file that was read to its end, and is without them now."""
        with self._ledger.reading() as db:
            rows = db.execute("SELECT no, path, name, record FROM document WHERE path = ?", (path,)).fetchall()
        gone = [row for row in rows if row[3] not in took.records]
        for row in gone:
            if took.is_part(row[3]):
                # A document of several parts has changed; nobody took one away.
                self._ledger.write(documents.drop_document, row[0])
        self._prune([row for row in gone if not took.is_part(row[3])])

    def _prune(self, gone: Sequence[tuple[int, str, str, str]]) -> None:
        for no, path, name, record in gone:
            if self._plan.prune and not _in_an_empty_folder(path):
                self._ledger.write(documents.drop_document, no)
                self._progress.documents["removed"] += 1
                log.info("%s: removed: its file is gone", _named(name, record), extra={"path": path})
            else:
                self._progress.vanished.append(_named(name, record))

    # --- chunks -----------------------------------------------------------------------------------------------------

    def _document(self, document: documents.StoredDocument) -> Iterator[Batch]:
        began = time.monotonic()
        variant = self._asked.variant(document.id)
        way, way_no = self._asked.way(variant)
        extract, embed = way.hash, self._asked.embed.hash if self._asked.embed else None
        specs = way_no, self._asked.embed_no
        whole = self._plan.only is None and self._plan.limit is None
        wanted = []
        with self._ledger.reading() as db:
            if whole and (count := documents.settled_chunks(db, document.no, *specs)) is not None:
                self._progress.chunks += count
                self._progress.reused += count
                self._progress.plan_s += time.monotonic() - began
                return
            planned = documents.planned_chunks(db, document.no)
            only = self._plan.only
            if only is not None:
                planned = [chunk for chunk in planned if chunk.no in only]
            if self._plan.limit is not None:
                planned = planned[: max(0, self._plan.limit - self._progress.chunks)]
            for chunk in planned:
                extract_key = keys.key(extract, chunk.content)
                # An empty text has no embedding.
                embed_key = keys.key(embed, chunk.words) if embed and chunk.words != keys.NO_WORDS else None
                kinds = _BOTH if only is None else only[chunk.no]
                want = Wanted(
                    chunk.no,
                    None if extract_key == chunk.extract_key or "extract" not in kinds else extract_key,
                    None if embed_key == chunk.embed_key or "embed" not in kinds else embed_key,
                )
                if want.extract or want.embed:
                    wanted.append(want)
        self._progress.chunks += len(planned)
        self._progress.reused += len(planned) - len(wanted)
        if wanted:
            order = {chunk.no: chunk.seq for chunk in planned}
            yield from self._claim(document, wanted, order, began, variant, whole=whole)
            return
        if whole:
            self._note(documents.settle, document.no, *specs, len(planned))
        self._progress.plan_s += time.monotonic() - began

    def _claim(
        self,
        document: documents.StoredDocument,
        wanted: Sequence[Wanted],
        order: dict[int, int],
        began: float,
        variant: int,
        *,
        whole: bool,
    ) -> Iterator[Batch]:
        progress = self._progress
        claims = self._ledger.write(
            questions.claim,
            self._run,
            self._asked.way(variant)[1],
            self._asked.embed_no,
            wanted,
            (document.no, len(order)) if whole else None,
        )
        ours = []
        for claimed in claims:
            states = {claim for _, claim in filter(None, (claimed.extract, claimed.embed))}
            if Claim.OURS in states:
                ours.append(claimed)
                progress.to_buy += 1
            elif Claim.SHARED in states:
                pass  # answered along with the chunk that asks
            elif Claim.DEAD in states:
                progress.dead_before += 1
            elif Claim.ELSEWHERE in states:
                progress.elsewhere += 1
            else:
                progress.reused += 1
        persona = self._persona_of(document.name)
        for at in range(0, len(ours), _EMBED_ONLY):
            some = ours[at : at + _EMBED_ONLY]
            with self._ledger.reading() as db:
                chunks = documents.load_chunks(db, [claimed.chunk for claimed in some])
            progress.plan_s += time.monotonic() - began
            for claimed in some:
                if self._stopping.is_set():
                    return
                item = BatchItem(
                    chunks[claimed.chunk],
                    claimed.chunk,
                    claimed.extract[0] if claimed.extract and claimed.extract[1] is Claim.OURS else None,
                    claimed.embed[0] if claimed.embed and claimed.embed[1] is Claim.OURS else None,
                    follows=self._waiting[variant].last == (document.no, order[claimed.chunk] - 1),
                    persona=persona,
                )
                yield from self._add(item, document.no, order[claimed.chunk], variant)
            began = time.monotonic()

    def _persona_of(self, name: str) -> str | None:
        return next((persona for pattern, persona in self._personas if pattern.fullmatch(name)), None)

    def _add(self, item: BatchItem, document: int, place: int, variant: int) -> Iterator[Batch]:
        waiting, size = self._waiting[variant], _size(item.chunk)
        others = bool(waiting.items) and waiting.items[0].persona != item.persona
        if others or waiting.chars + size > _BATCH_CHARS:
            yield from self._flush(variant)
            waiting = self._waiting[variant]
            item = replace(item, follows=False)
        waiting.items.append(item)
        waiting.chars += size
        # Only a chunk that is shown to the model can be the context of the next one.
        waiting.last = (document, place) if item.extract is not None else None
        asked = sum(1 for each in waiting.items if each.extract is not None)
        if asked >= self._plan.batch_size or len(waiting.items) >= max(_EMBED_ONLY, self._plan.batch_size):
            yield from self._flush(variant)

    def _flush(self, variant: int) -> Iterator[Batch]:
        if items := self._waiting[variant].items:
            self._waiting[variant] = _Waiting()
            yield Batch(uuid.uuid4().hex[:12], tuple(items), variant)

    def _flush_all(self) -> Iterator[Batch]:
        for variant in range(len(self._waiting)):
            yield from self._flush(variant)


def _chunks_of_parts(db: sqlite3.Connection, path: str, record: str) -> list[Chunk]:
    """The chunks of the parts, from the second on, of a document that is whole again: at most as many as it may have."""
    numbers = range(2, _PARTS_HELD + 1)
    found = (documents.document_at(db, path, record_of_part(record, number)) for number in numbers)
    return [chunk for part in found if part for chunk in documents.chunks_of(db, part.no)]


def path_of(source: Source) -> str:
    """The absolute path by which the ledger knows a source; '-' for standard input."""
    return storable(str(source.path)) if source.path else "-"


def _in_an_empty_folder(path: str) -> bool:
    """Whether nothing is where the file was: a disk that is not mounted looks so, and takes nothing out (law 4)."""
    try:
        folder = next((parent for parent in Path(path).parents if parent.is_dir()), None)
        return folder is not None and not any(folder.iterdir())
    except OSError:
        return True


def _holds_something(folder: Path) -> bool:
    """Not where nobody can tell: the reader has said why."""
    try:
        return folder.is_dir() and any(folder.iterdir())
    except OSError:
        return False


def _where(name: str, line: int | None, column: int | None) -> str:
    place = "" if line is None else f":{line}" if column is None else f":{line}:{column}"
    return _printable(name) + place


def _named(name: str, record: str) -> str:
    """A document as reports and logs name it."""
    return _printable(f"{name}#{record}" if record else name)


def _printable(text: str) -> str:
    """Text on one line for reports and terminals: names of files may hold line breaks and escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _size(chunk: Chunk) -> int:
    return sum(len(turn.text) for turn in chunk.turns)


def _content(transcript: Transcript) -> bytes:
    parts = ["transcript"]
    for turn in transcript.turns:
        parts += (turn.speaker or "", turn.text, str(turn.start), str(turn.end))
    for ready in transcript.ready or ():
        parts += (ready.name, str(ready.first), str(ready.last))
    parts.append("about")
    for key, value in sorted(transcript.metadata.items()):
        parts += (key, value)
    return identity.digest(*parts, transcript.title or "")
