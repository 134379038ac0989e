"""The values that travel through kg: what is read, cut, asked, answered, and written to the stores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

# --- what is read ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands in its file.

    `start` and `end` are character offsets into the decoded text of the file (of the line, in JSON Lines); `line`
    counts from 1; `pointer` is a JSON Pointer (RFC 6901) where the file is JSON, and then start and end are None.
    """

    start: int | None = None
    end: int | None = None
    line: int | None = None
    pointer: str = ""


@dataclass(frozen=True, slots=True)
class Mark:
    """A time inside a turn: from character `at` of its text on, the words were said from `start` to `end` (seconds)."""

    at: int
    start: float | None
    end: float | None
    place: Place = field(default_factory=Place)


@dataclass(frozen=True, slots=True)
class Turn:
    """What one speaker says in one go. Times are in seconds from the start of the recording.

    Captions of one speaker that follow each other are joined into one turn; `marks` then keeps each caption's time.
    """

    text: str
    speaker: str | None = None
    start: float | None = None
    end: float | None = None
    place: Place = field(default_factory=Place)
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True, slots=True)
class ReadyChunk:
    """A chunk that came ready in the file: the turns `first` up to, not including, `last` of its transcript."""

    name: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Transcript:
    """One conversation as read. `record` names it within its file ('' where the file is the conversation).

    One too large to be held comes in parts, each a Transcript: `part` counts them from 1 (0: it is the whole one), and
    `record` ends with `part N`.
    """

    turns: tuple[Turn, ...]
    record: str = ""
    title: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    ready: tuple[ReadyChunk, ...] | None = None
    warnings: tuple[str, ...] = ()
    part: int = 0


@dataclass(frozen=True, slots=True)
class Problem:
    """A part of a file that could not be read, while the rest could (a bad line of JSON Lines)."""

    reason: str
    line: int | None = None
    column: int | None = None


# --- what is cut ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ChunkTurn:
    """A turn, or a piece of a long one, inside a chunk.

    `raw` is as read; `text` is what is sent ('' where cleaning took everything out); `cuts` maps `text` back to
    `raw`: pairs (offset in text, offset in raw) at which a run of unchanged characters begins, ascending.
    A `speaker` of None means that the file names none. `turn` is the turn's index in the transcript.
    """

    speaker: str | None
    raw: str
    text: str
    turn: int
    start: float | None = None
    end: float | None = None
    cuts: tuple[tuple[int, int], ...] = ()
    line: int | None = None
    offset: int | None = None
    pointer: str = ""


@dataclass(frozen=True, slots=True)
class Chunk:
    """What is asked about in one piece. Turns are numbered from 1 within the chunk, in the order of `turns`.

    `context` holds (speaker, text) of the last turns of the chunk before: shown to the model, not extracted from.
    """

    id: str
    document_id: str
    seq: int
    turns: tuple[ChunkTurn, ...]
    context: tuple[tuple[str | None, str], ...] = ()
    name: str = ""

    @property
    def text(self) -> str:
        """The cleaned text with speakers, a line a turn: what is embedded and shown as the chunk's text."""
        return "\n".join(f"{t.speaker}: {t.text}" if t.speaker else t.text for t in self.turns if t.text)

    @property
    def start(self) -> float | None:
        return next((t.start for t in self.turns if t.start is not None), None)

    @property
    def end(self) -> float | None:
        return next((t.end for t in reversed(self.turns) if t.end is not None), None)

    @property
    def speakers(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(t.speaker for t in self.turns if t.speaker))


# --- what is asked and answered -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BatchItem:
    """A chunk in a batch, with the questions to ask about it (their numbers in the ledger; None: not to be asked).

    `follows` says that the chunk before it stands right before it in the same batch, so that no context is needed.
    `persona` is who its file is for; None where files don't say. All items of a batch are for the same one.
    """

    chunk: Chunk
    number: int
    extract: int | None
    embed: int | None
    follows: bool = False
    persona: str | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """Chunks that are asked about together. `variant`: by which of the ways that are on trial, from 0."""

    id: str
    items: tuple[BatchItem, ...]
    variant: int = 0


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one or more calls. `prompt` includes `cached`; `completion` includes `reasoning`. Add up with sum()."""

    prompt: int = 0
    cached: int = 0
    completion: int = 0
    reasoning: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.prompt + other.prompt,
            self.cached + other.cached,
            self.completion + other.completion,
            self.reasoning + other.reasoning,
        )

    def __radd__(self, zero: int) -> Usage:
        return self

    @property
    def total(self) -> int:
        return self.prompt + self.completion


PRICED_TIERS = frozenset({"flex", "priority"})


def processing_of(tier: str, asked: str = "") -> str:
    """How a reply of this service tier is priced, in the words of `Pricer.price`.

    Where the provider tells no tier, nothing cheaper than what everybody pays is taken for granted.
    """
    if tier in PRICED_TIERS:
        return tier
    return "priority" if not tier and asked == "priority" else "standard"


@dataclass(frozen=True, slots=True)
class LLMCall:
    """One request to a model, as the ledger and every observer see it. Durations in seconds, `cost` in US dollars.

    `cost` of None means unpriced: the price list does not know the model. It never means free.
    `persona` is who the call is for ('' for nobody in particular), `tags` are those of its run. `prompt_hash` is of all
    that is asked besides the chunks. `temperature` of 1 is the model's own, where it takes no other. `max_output` is the
    ceiling of the reply in tokens (0: none is asked for), `requests_left` and `tokens_left` what the provider says is
    left of this minute (-1: it doesn't), `http_status` 0 where no answer came. `tier` is the service tier by which the
    provider says that it processed the request, and prices it; '' where it says nothing.
    `asked`, `replied` and `speakers` are empty unless the user wants content in traces.
    """

    id: str
    run_id: str
    stage: str  # extract | embed | resolve
    model: str
    endpoint: str
    questions: int
    attempt: int
    status: str  # sent | answered | failed | aborted
    started_at: float
    duration_s: float = 0.0
    wait_s: float = 0.0
    usage: Usage = field(default_factory=Usage)
    cost: Decimal | None = None
    error_kind: str = ""
    model_answered: str = ""
    finish_reason: str = ""
    request_id: str = ""
    batch_id: str = ""
    persona: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    workspace: str = ""
    purpose: str = "first"  # first | again (a network retry) | reask (after a bad reply)
    provider: str = ""
    prompt_version: str = ""
    prompt_hash: str = ""
    temperature: float = 0.0
    max_output: int = 0
    requests_left: int = -1
    tokens_left: int = -1
    http_status: int = 0
    tier: str = ""
    chunks: tuple[str, ...] = ()
    asked: str = field(default="", repr=False)
    replied: str = field(default="", repr=False)
    speakers: tuple[str, ...] = field(default=(), repr=False)

    @property
    def tokens_per_s(self) -> float:
        return self.usage.total / self.duration_s if self.duration_s else 0.0


@dataclass(frozen=True, slots=True)
class Payer:
    """Who a run's calls are for: a persona ('' for none), other ones in some stages, and the tags that all of them bear.

    `paths`: personas by glob of a file's name; these come before those of stages, where a call is about files.
    """

    persona: str = ""
    stages: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    workspace: str = ""
    paths: Mapping[str, str] = field(default_factory=dict)

    @property
    def personas(self) -> tuple[str, ...]:
        """All of them, the run's own first."""
        return tuple(dict.fromkeys((self.persona, *self.stages.values(), *self.paths.values())))

    def persona_of(self, stage: str, of_files: str | None = None) -> str:
        """Who a call is for. `of_files`: what the files say that it is about, if they do."""
        return self.stages.get(stage, self.persona) if of_files is None else of_files


# --- how well the words bear out what is said of them ---------------------------------------------------------------

EXACT, ALIGNED, INFERRED, UNSUPPORTED = GRADES = ("exact", "aligned", "inferred", "unsupported")
"""The grades of a finding, the best first.

Exact: named in the turn, word for word but for case, punctuation, spaces and possessives. Aligned: named there in an
inflected form, with a number spelled otherwise, or with a slip of one or two letters. Inferred: not named there, but in
the turn before or after it, or as who speaks in one of them ("I", "you"). Unsupported: none of these.
"""

STATED, PLANNED, DENIED, ASKED = MODALITIES = ("stated", "planned", "denied", "asked")
"""How a fact is said: plainly, as what is to come, as what is not so, or as a question."""

# --- what the graph holds: rows for the stores, projected from the ledger -------------------------------------------


@dataclass(frozen=True, slots=True)
class DocumentRow:
    id: str
    path: str
    title: str
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MentionRow:
    """An entity named in a chunk. `turns` are numbers within the chunk, `offsets` pairs (turn, offset in raw turn).

    `speakers` say these turns; `grade` is that of the turn that bears it out best (see GRADES).
    """

    entity_id: str
    name: str
    turns: tuple[int, ...]
    offsets: tuple[tuple[int, int], ...] = ()
    start: float | None = None
    end: float | None = None
    speakers: tuple[str, ...] = ()
    grade: str = EXACT


@dataclass(frozen=True, slots=True)
class StatementRow:
    """One place where a relationship is stated: the quote is the turn's raw text, cut in code, never the model's.

    `offset` is where the quote begins in the raw turn, `date` the document's (ISO), `modality` one of MODALITIES.
    """

    id: str
    subject_id: str
    object_id: str
    predicate: str
    quote: str
    speaker: str | None = None
    turn: int = 0
    start: float | None = None
    end: float | None = None
    modality: str = STATED
    offset: int = 0
    date: str | None = None
    grade: str = EXACT


@dataclass(frozen=True, slots=True)
class ChunkRow:
    """A chunk with all that hangs on it: written, replaced and deleted as one unit."""

    id: str
    document_id: str
    index: int
    text: str
    next_id: str | None = None
    speakers: tuple[str, ...] = ()
    start: float | None = None
    end: float | None = None
    mentions: tuple[MentionRow, ...] = ()
    statements: tuple[StatementRow, ...] = ()


@dataclass(frozen=True, slots=True)
class EntityRow:
    """`labels`: its ontology types, the first the main one. `weight`: distinct current chunks that name it."""

    id: str
    name: str
    labels: tuple[str, ...]
    aliases: tuple[str, ...] = ()
    weight: int = 0


@dataclass(frozen=True, slots=True)
class RelationshipEnds:
    """A relationship by its id and its ends: so a store finds it that has no index on relationships."""

    id: str
    source_id: str
    target_id: str
    type: str


@dataclass(frozen=True, slots=True)
class RelationshipRow:
    """`type` in UPPER_SNAKE_CASE. `weight`: distinct current chunks in which it is stated or planned.

    `first`, `last`: dates of the first and the last document of these. `current`: somebody stated it, and since then
    nobody has denied it (`contradicted`) nor, where only one can hold, stated another (`superseded_by`, a relationship's
    id); `until`: the date from which it isn't current, where that is known. `stated` … `asked`: statements, by modality.
    """

    id: str
    source_id: str
    target_id: str
    type: str
    weight: int = 0
    first: str | None = None
    last: str | None = None
    current: bool = True
    until: str | None = None
    superseded_by: str | None = None
    contradicted: bool = False
    stated: int = 0
    planned: int = 0
    denied: int = 0
    asked: int = 0
    grade: str = EXACT

    @property
    def ends(self) -> RelationshipEnds:
        return RelationshipEnds(self.id, self.source_id, self.target_id, self.type)


@dataclass(frozen=True, slots=True)
class GraphChanges:
    """What a graph store is to upsert and to delete, in one committed step.

    Upserts go documents, entities, chunks, relationships; deletions (ids) the other way round. A chunk's unit (its
    NEXT_CHUNK and FROM_DOCUMENT links, its mentions and statements) replaces what the store had for that chunk.
    Every id referred to exists in the store or in the same changes. `embeddings`: of some of the chunks, by id, float32
    in little-endian order, for a store that keeps vectors beside the graph; None where a chunk has none (any more).
    """

    documents: tuple[DocumentRow, ...] = ()
    entities: tuple[EntityRow, ...] = ()
    chunks: tuple[ChunkRow, ...] = ()
    relationships: tuple[RelationshipRow, ...] = ()
    deleted_documents: tuple[str, ...] = ()
    deleted_entities: tuple[str, ...] = ()
    deleted_chunks: tuple[str, ...] = ()
    deleted_relationships: tuple[RelationshipEnds, ...] = ()
    embeddings: Mapping[str, bytes | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GraphCounts:
    documents: int = 0
    chunks: int = 0
    entities: int = 0
    relationships: int = 0
    mentions: int = 0
    statements: int = 0


@dataclass(frozen=True, slots=True)
class StoreMark:
    """Which store this is, and the last writing session it knows of: the epoch is a random id kept in the store.

    A wiped or other store has another epoch; one restored from an old copy has an older generation.
    """

    epoch: str
    generation: int


@dataclass(frozen=True, slots=True)
class SparseVector:
    """Term weights: `values[i]` belongs to dimension `indices[i]`."""

    indices: tuple[int, ...]
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class VectorKind:
    """Which dense vectors a store holds: one model's, of one size. Those of two models are never near each other."""

    model: str
    dimensions: int


@dataclass(frozen=True, slots=True)
class Point:
    """A chunk in the vector store. `id` is the chunk's UUID; `dense` is float32, little-endian, or None offline."""

    id: str
    sparse: SparseVector
    dense: bytes | None
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Hit:
    """A point found: `score` counts only within one search."""

    id: str
    score: float
    payload: Mapping[str, Any]
