"""`kg forget`: erase a document or a speaker everywhere that kg has written."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from cli import options, scrub, show
from cli.app import printable
from cli.keep import files_of
from cli.logs import to_stderr
from cli.mend import vector_size_of
from cli.wiring import deriver_of
from cli.workspace import as_last_embedded, existing, settings_of
from core_engine import forgetting
from core_engine.errors import KGError, LedgerError, SettingsError
from core_engine.forgetting import Erased, Named, Speaking
from core_engine.kg.extractor import parse_stored_replies
from core_engine.kg.normalise import normal_form
from core_engine.ledger import batches, forgotten, keeping, overview, questions, stores
from core_engine.ledger.ledger import Ledger
from core_engine.ledger.lock import RunLock
from core_engine.ledger.looking import looking
from core_engine.projector import derive_all
from core_engine.settings import Settings

app = typer.Typer(add_completion=False)


@dataclass(frozen=True, slots=True)
class Target:
    """What is to be erased: documents, or a speaker in these documents."""

    said: str
    documents: Sequence[Named] = ()
    speaking: Sequence[Speaking] = ()
    everywhere: bool = False

    @property
    def in_words(self) -> str:
        if self.speaking:
            turns = sum(one.turns for one in self.speaking)
            return f"speaker {self.said!r}: {turns:,} turns in {len(self.speaking):,} documents, and the name"
        names = ", ".join(one.name + (f"#{one.record}" if one.record else "") for one in self.documents[:5])
        more = f" and {len(self.documents) - 5:,} more" if len(self.documents) > 5 else ""
        return f"{len(self.documents):,} documents: {names}{more}"


@dataclass(slots=True)
class Forgetting:
    """What was erased, and where it may still be. `failed`: what has to be done again; `left`: what kg can't reach."""

    erased: Erased = field(default_factory=Erased)
    files: int = 0
    stores: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


@app.command()
def forget(
    target: Annotated[str, typer.Argument(help="A document (name, path or id) or a speaker.")],
    document: Annotated[bool, typer.Option("--document", help="It is a document.")] = False,
    speaker: Annotated[bool, typer.Option("--speaker", help="It is a speaker.")] = False,
    within: Annotated[str | None, typer.Option("--in", help="The speaker of this document alone.")] = None,
    recall: Annotated[bool, typer.Option("--recall", help="Let later runs read it again.")] = False,
    yes: options.Yes = None,
    graph_store: options.GraphStore = None,
    vector_store: options.VectorStore = None,
    qdrant_grpc: options.QdrantGrpc = None,
    embedder: options.Embedder = None,
    embedding_model: options.EmbeddingModel = None,
    dimensions: options.Dimensions = None,
    ontology: options.OntologyFile = None,
    workspace: options.Workspace = None,
    home: options.Home = None,
    config: options.Config = None,
    json: options.Json = False,
    verbose: options.Verbose = False,
) -> None:
    """Erase a document or a speaker everywhere: text, answers, graph, vectors, logs, reports.

    What calls cost stays in the books. Later runs leave it out, until --recall.
    """
    loaded = settings_of(locals(), config)
    existing(loaded)
    if document and speaker:
        raise SettingsError("--document and --speaker: it can be only one of them")
    with looking(loaded.settings.ledger_path) as db:
        settings = as_last_embedded(loaded, db)
    to_stderr("forget", settings.secrets, quiet=not verbose, verbose=verbose)
    with RunLock(settings.lock_path):
        with Ledger(settings.ledger_path) as ledger:
            if recall:
                _recall(ledger, target, within, json=json)
                return
            done = _forget(settings, ledger, target, document=document, speaker=speaker, within=within)
        _compact(settings, done)
    if json:
        numbers = {name: value for name, value in asdict(done.erased).items() if name != "words"}
        show.json_out({**asdict(done), "erased": numbers})
    else:
        show.out("\n".join(_in_words(done)))
    raise typer.Exit(5 if done.failed else 0)


def _forget(
    settings: Settings, ledger: Ledger, target: str, *, document: bool, speaker: bool, within: str | None
) -> Forgetting:
    with ledger.reading() as db:
        if batches.pending(db):
            raise SettingsError("a Batch job is out, and what it brings may be about this: see `kg batches` first")
    # What a killed run left unread would bring erased names back when it is read.
    parse_stored_replies(ledger)
    ledger.write(questions.release)
    done = Forgetting()
    with ledger.reading() as db:
        found = _find(db, target, document=document, speaker=speaker, within=within)
    if found is not None:
        _confirm(settings, found)
        if found.speaking:
            erasing = partial(
                forgetting.erase_speaker, name=found.said, speaking=found.speaking, everywhere=found.everywhere
            )
        else:
            erasing = partial(forgetting.erase_documents, named=found.documents)
        done.erased = ledger.write(_erase, erasing)
    else:
        # Erased already, or on the way when it was stopped: the rest is done (again).
        done.erased.words |= {target, str(_absolute(target))}
    # Which names nobody says any more is known when all is derived; the stores follow both.
    derive_all(ledger, deriver_of(settings), _unhurried)
    ledger.write(forgetting.erase_names)
    _follow(settings, ledger, done)
    with ledger.reading() as db:
        words = done.erased.words | forgotten.words_left(db)
    if pattern := scrub.pattern_of(words):
        ledger.write(scrub.scrub_ledger, pattern)
        with ledger.reading() as db:
            done.files, failed = scrub.scrub_files(settings, db, pattern)
        done.failed += failed
    if not done.failed:
        ledger.write(forgotten.drop_words)
    with ledger.reading() as db:
        done.left += _out_of_reach(db, found)
    done.erased.words = set()  # they are not to be said once more
    return done


def _erase(db: sqlite3.Connection, erasing: Callable[[sqlite3.Connection], Erased]) -> Erased:
    """Erase it in the ledger, and note how files name it, which come later."""
    erased = erasing(db)
    forgotten.note_words(db, erased.words)
    return erased


# --- what is meant ---------------------------------------------------------------------------------------------------


def _find(db: sqlite3.Connection, target: str, *, document: bool, speaker: bool, within: str | None) -> Target | None:
    """None: it was erased before. SettingsError where nothing, or more than one thing, is meant."""
    path = str(_absolute(target))
    found = [] if speaker or within else forgetting.find_documents(db, target, path)
    speaking = [] if document else forgetting.find_speaker(db, target)
    if within:
        there = {one.id for one in forgetting.find_documents(db, within, str(_absolute(within)))}
        speaking = [one for one in speaking if one.document.id in there]
    if found and speaking:
        raise SettingsError(f"{target!r} is a document and a speaker: say --document or --speaker")
    if len({one.path for one in found}) > 1:
        raise SettingsError(f"{target!r} may be {' or '.join(one.path for one in found)}: give the whole path")
    if found:
        return Target(target, documents=found)
    if speaking:
        if forgetting.is_label(target) and not within and len(speaking) > 1:
            raise SettingsError(
                f"{target!r} is another person in each of {len(speaking)} documents: name the document with --in"
            )
        return Target(target, speaking=speaking, everywhere=not within and not forgetting.is_label(target))
    known = forgotten.load(db)
    norm = normal_form(target)
    if known.named(target) or known.document(path, "") or known.speaker(norm, str(_absolute(within)) if within else ""):
        return None
    raise SettingsError(
        f"neither a document nor a speaker of this workspace is called {target!r}"
        + (f" in {within!r}" if within else "")
        + ": `kg search` shows how documents and speakers are called"
    )


def _absolute(target: str) -> Path:
    return Path(target).resolve()


def _confirm(settings: Settings, target: Target) -> None:
    if settings.yes:
        return
    if not sys.stdin.isatty():
        raise SettingsError(f"{target.in_words}: erasing can't be undone; say --yes")
    asked = f"{target.in_words} of workspace {settings.workspace!r} will be erased. This can't be undone."
    print(printable(asked), file=sys.stderr)
    if not typer.confirm("Go on?", err=True):
        raise KGError("nothing was erased")


def _recall(ledger: Ledger, target: str, within: str | None, *, json: bool) -> None:
    file, _, record = target.rpartition("#") if "#" in target and not Path(target).exists() else (target, "", "")
    of = str(_absolute(within)) if within else ""
    some = (
        forgotten.name_key(target),
        forgotten.document_key(str(_absolute(file)), record),
        forgotten.speaker_key(normal_form(target), of),
    )
    count = ledger.write(forgotten.recall, some)
    if not count:
        raise SettingsError(f"{target!r} was not erased here: name the document, or the speaker, as it was named then")
    if json:
        show.json_out({"recalled": count})
    else:
        show.out("the next `kg process` reads it again")


def _unhurried() -> None:
    """An erasure takes its time."""


# --- the stores ------------------------------------------------------------------------------------------------------


def _follow(settings: Settings, ledger: Ledger, done: Forgetting) -> None:
    """Bring the stores in line with the ledger. Files of vectors, which keep what was deleted, are made anew."""
    from cli.wiring import projector_of

    size = vector_size_of(settings, ledger)
    try:
        _remove_copies(settings, ledger)
        projector = projector_of(settings, size, ledger)
        projector.start()
        projection = projector.finish()
    except (KGError, OSError) as error:
        done.failed.append(f"{error}; the ledger is done: run the same command again for the stores")
        return
    done.failed += [f"{error}; then run the same command again" for error in projection.errors]
    written = [state.no for state in (projection.graph_state, projection.vector_state) if state]
    names = projector.store_names
    used = (("graph", names["graph_store"]), ("vectors", names["vector_store"]))
    done.stores = [f"{role} {name}" for role, name in used if name != "none"]
    if settings.vector_store_used == "qdrant" and not done.failed:
        _sweep_collections(settings, ledger, done)
    with ledger.reading() as db:
        others = overview.stores_holding(db, besides=written)
    done.left += [
        f"{role} in {name}: `kg rebuild` with its settings brings it in line with the ledger" for role, name in others
    ]


def _remove_copies(settings: Settings, ledger: Ledger) -> None:
    """Embedded stores that are made anew, or that nothing uses any more: they would keep the old words."""
    shutil.rmtree(settings.folder / "vectors", ignore_errors=True)
    if (settings.folder / "vectors").exists():
        raise LedgerError(f"{settings.folder / 'vectors'} can't be removed: see that no program has it open")
    ledger.write(stores.drop_embedded, "vectors")
    if settings.graph_store_used != "embedded":
        for end in ("", "-wal", "-shm"):
            (settings.folder / f"graph.sqlite3{end}").unlink(missing_ok=True)
        ledger.write(stores.drop_embedded, "graph")


def _sweep_collections(settings: Settings, ledger: Ledger, done: Forgetting) -> None:
    """Collections of other embedding models on the same server hold the same words."""
    from cli.wiring import qdrant_of

    store = qdrant_of(settings, None, None)
    try:
        dropped = asyncio.run(store.drop_others(vector_size_of(settings, ledger), settings.embedding_model))
    except KGError as error:
        done.failed.append(f"{error}; then run the same command again")
    else:
        done.stores += dropped


def _compact(settings: Settings, done: Forgetting) -> None:
    """Deleted rows leave their bytes in the files until these are written anew."""
    for path in files_of(settings):
        if path.exists():
            try:
                keeping.vacuum(path)
            except KGError as error:
                done.failed.append(f"the words may still lie in freed space: {error}")


def _out_of_reach(db: sqlite3.Connection, target: Target | None) -> list[str]:
    left = [f"the backup {file} of {when}" for file, when in keeping.backups(db).items()]
    left.append(
        "other copies of the ledger, logs of the model's provider, the stores' own backups and transaction logs"
    )
    left += [f"{path}, of runs that were started in another folder" for path in scrub.elsewhere(db)]
    if target and target.documents:
        files = sorted({one.path for one in target.documents if one.path != "-" and Path(one.path).exists()})
        left += [f"the file itself: {file} (later runs skip it)" for file in files]
    if target and target.speaking:
        left.append("the transcripts themselves, and names of files (later runs leave the speaker's turns out)")
    return left


def _in_words(done: Forgetting) -> list[str]:
    erased = done.erased
    what = (
        f"{erased.documents:,} documents, {erased.chunks:,} chunks, {erased.turns:,} turns, {erased.answers:,} answers"
    )
    what = (
        f"{erased.documents:,} documents, {erased.chunks:,} chunks, {erased.turns:,} turns, {erased.answers:,} answers"
    )
    lines = [f"erased: {what}, parts of {erased.calls:,} calls; changed: {done.files:,} logs and reports"]
    if done.stores:
        lines.append(f"in: the ledger, {', '.join(done.stores)}")
    if erased.to_embed:
        lines.append(
            f"{erased.to_embed:,} chunks are left with other words: the next `kg process` has them embedded anew"
        )
    lines += [f"NOT DONE: {one}" for one in done.failed]
    lines += [f"not reached: {one}" for one in done.left]
    return lines
