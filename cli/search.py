"""`kg search`: finds chunks and entities by words."""

from __future__ import annotations

import asyncio
import contextlib
import re
import struct
from itertools import islice
from typing import Annotated, Any

import typer

from cli import options, show
from cli.workspace import as_last_embedded, existing, settings_of
from core_engine import search as searching
from core_engine.embeddings.stores.layout import slug
from core_engine.errors import KGError, SettingsError, StoreError
from core_engine.ledger import overview
from core_engine.ledger.ledger import Ledger
from core_engine.ledger.lock import is_held
from core_engine.ledger.looking import looking
from core_engine.ledger.values import CO_OCCURS
from core_engine.ports import GraphStore, VectorStore
from core_engine.settings import Settings
from core_engine.types import Hit

app = typer.Typer(add_completion=False)

_SNIPPET = 240  # characters
_BEFORE = 60
_PLACES = 50  # of each word, in a text that may be long


@app.command()
def search(
    words: Annotated[list[str], typer.Argument(help="What to look for.")],
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="Chunks, and entities, at most.")] = 5,
    neighbours: Annotated[
        int, typer.Option("--neighbours", min=0, max=200, help="Relationships shown of each entity.")
    ] = 5,
    dense: Annotated[
        bool, typer.Option("--dense", help="By meaning too: asks the embedding model about the words (a paid call).")
    ] = False,
    workspace: options.Workspace = None,
    base_url: options.BaseUrl = None,
    embedding_base_url: options.EmbeddingBaseUrl = None,
    embedding_model: options.EmbeddingModel = None,
    dimensions: options.Dimensions = None,
    graph_store: options.GraphStore = None,
    vector_store: options.VectorStore = None,
    qdrant_grpc: options.QdrantGrpc = None,
    home: options.Home = None,
    config: options.Config = None,
    json: options.Json = False,
) -> None:
    """Find chunks and entities by words. Free, unless --dense is given."""
    loaded = settings_of(locals(), config)
    existing(loaded)
    with looking(loaded.settings.ledger_path) as db:
        settings = as_last_embedded(loaded, db)
        size = overview.vector_size(db, settings.embedding_model) if settings.embedder_used == "openai" else None
        stores = {role: overview.last_written_store(db, role) for role in ("graph", "vectors")}
    asked = " ".join(words)
    vector = _embedded(settings, asked, size) if dense else None
    found = asyncio.run(_search(settings, stores, size, asked, limit, neighbours, vector))
    with looking(settings.ledger_path) as db:
        found = searching.with_words(db, found)
    if json:
        show.json_out({"query": asked, "chunks": [_chunk(hit) for hit in found.chunks], "entities": found.entities})
    else:
        show.out("\n".join(_in_words(found, asked)))


async def _search(
    settings: Settings,
    written: dict[str, str],
    dimensions: int | None,
    words: str,
    limit: int,
    neighbours: int,
    dense: list[float] | None,
) -> searching.Found:
    from core_engine.embeddings.bm25 import Bm25Encoder

    graph, vectors = _graph_of(settings, written["graph"]), _vectors_of(settings, written["vectors"], dimensions)
    if graph is None and vectors is None:
        raise SettingsError("--graph-store none and --vector-store none leave nothing to search in")
    async with contextlib.AsyncExitStack() as closing:
        for store in (graph, vectors):
            if store:
                await store.open()
                closing.push_async_callback(store.close)
        return await searching.search(words, vectors, graph, Bm25Encoder(), limit, dense=dense, neighbours=neighbours)


def _graph_of(settings: Settings, written: str) -> GraphStore | None:
    from cli.wiring import graph_store_of

    if settings.graph_store_used == "embedded" and not (settings.folder / "graph.sqlite3").exists():
        raise _not_there("graph", written, "NEO4J_URI")
    return graph_store_of(settings)


def _vectors_of(settings: Settings, written: str, dimensions: int | None) -> VectorStore | None:
    from cli.wiring import vector_store_of

    if settings.vector_store_used == "embedded":
        folder = settings.folder / "vectors" / slug(settings.embedding_model if dimensions else None, dimensions)
        if not folder.exists():
            raise _not_there("vectors", written, "QDRANT_URL")
        if holder := is_held(settings.lock_path):
            # The engine's own refusal would say less.
            raise StoreError(
                f"a run has the embedded vector store open ({holder}): search when it has ended, or use a Qdrant server"
            )
    return vector_store_of(settings, dimensions)


def _not_there(role: str, written: str, variable: str) -> KGError:
    if written not in {"", "embedded"}:
        return SettingsError(f"the {role} of this workspace were last written to {written}: set {variable}")
    return SettingsError(f"this workspace has no {role} yet: `kg rebuild` writes them from the ledger, for free")


def _embedded(settings: Settings, words: str, dimensions: int | None) -> list[float]:
    """The words as a vector of the workspace's model: asked once, and kept in the ledger like any answer."""
    if dimensions is None:
        raise SettingsError("--dense needs vectors by meaning, and this workspace has none: it was embedded by bm25")
    from cli.queries import embed_query

    with Ledger(settings.ledger_path) as ledger:
        vector = asyncio.run(embed_query(settings, ledger, words))
    return list(struct.unpack(f"<{len(vector) // 4}f", vector))


def _chunk(hit: Hit) -> dict[str, Any]:
    names = ("document", "document_id", "chunk_index", "speakers", "start", "end", "text")
    return {"id": hit.id, "score": hit.score, **{name: hit.payload.get(name) for name in names}}


def _in_words(found: searching.Found, asked: str) -> list[str]:
    if not found.chunks and not found.entities:
        return ["nothing found"]
    lines = []
    for number, hit in enumerate(found.chunks, start=1):
        said = _chunk(hit)
        where = [f"{said['document']}, chunk {(said['chunk_index'] or 0) + 1}", show.clock(said["start"])]
        where.append(", ".join(said["speakers"] or ()))
        lines.append(f"{number}. " + " · ".join(show.cell(part) for part in where if part) + f"  ({hit.score:.3g})")
        lines.append("   " + show.cell(snippet(str(said["text"] or ""), asked)))
    if found.entities:
        lines += ["", "Entities"] if lines else ["Entities"]
    for one in found.entities:
        entity = one.entity
        also = f", also {', '.join(entity.aliases[:3])}" if entity.aliases else ""
        chunks = "1 chunk" if entity.weight == 1 else f"{entity.weight:,} chunks"
        lines.append(show.cell(f"- {entity.name} ({', '.join(entity.labels)}; {chunks}{also})"))
        lines += ["    " + show.cell(_relation(neighbour, entity.id)) for neighbour in one.neighbours]
    return lines


def _relation(one: searching.Neighbour, entity: str) -> str:
    """`WORKS_AT: Acme (2 chunks; board.vtt, 0:12:04, Ann Lee)`; `WORKS_AT of: Ann Lee` the other way round."""
    row = one.relationship
    # Of two that occur together, neither is the subject.
    backwards = row.source_id != entity and row.type != CO_OCCURS
    chunks = "1 chunk" if row.weight == 1 else f"{row.weight:,} chunks"
    where = []
    if said := one.said:
        where = [said.where.document, show.clock(said.start), said.speaker or ""]
    place = ", ".join(part for part in where if part)
    return f"{row.type}{' of' if backwards else ''}: {one.entity.name} ({chunks}{'; ' + place if place else ''})"


def snippet(text: str, asked: str) -> str:
    """The part of the text that holds most of the words asked for, the first such."""
    words = dict.fromkeys(word.lower() for word in re.findall(r"\w{2,}", asked))
    places = sorted(
        (match.start(), word)
        for word in words
        for match in islice(re.finditer(rf"\b{re.escape(word)}", text, re.IGNORECASE), _PLACES)
    )
    reach = _SNIPPET - _BEFORE
    held = [(-len({word for at, word in places if first <= at < first + reach}), first) for first, _ in places]
    start = max(min(held)[1] - _BEFORE, 0) if held else 0
    if start:
        start = text.find(" ", start) + 1
    end = min(start + _SNIPPET, len(text))
    return ("… " if start else "") + text[start:end].strip() + (" …" if end < len(text) else "")
