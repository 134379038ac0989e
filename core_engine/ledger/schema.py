"""The ledger's tables, as a list of migrations applied in order, each once.

Integer keys (`no`) join tables inside this file and never leave it; whatever leaves it carries an id made of content.
Ids are 16-byte blobs here, UUID strings outside.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from core_engine.errors import LedgerError

Migration = Callable[[sqlite3.Connection], None]


def m001_first_tables(db: sqlite3.Connection) -> None:
    for statement in _FIRST_TABLES.split(";\n"):
        if statement.strip():
            db.execute(statement)


def m002_what_a_call_may_take(db: sqlite3.Connection) -> None:
    """Tokens of a call at its ceiling, and its prompt by our own measure, from which estimates learn."""
    db.execute("ALTER TABLE call ADD COLUMN tokens_at_most INTEGER NOT NULL DEFAULT 0")
    db.execute("ALTER TABLE call ADD COLUMN measured REAL NOT NULL DEFAULT 0")


def m003_batch_jobs(db: sqlite3.Connection) -> None:
    """Jobs of the Batch API: a call of one stands for a line of its file, and names it."""
    db.execute(
        "CREATE TABLE job (no INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, run TEXT NOT NULL, stage TEXT NOT NULL, "
        "endpoint TEXT NOT NULL, model TEXT NOT NULL, parameters TEXT NOT NULL, requests INTEGER NOT NULL, "
        "questions INTEGER NOT NULL, tokens INTEGER NOT NULL, bytes INTEGER NOT NULL, ceiling TEXT, "
        "state TEXT NOT NULL, created_at REAL NOT NULL, tried_at REAL, submitted_at REAL, seen_at REAL, ended_at REAL, "
        "batch TEXT, files TEXT NOT NULL DEFAULT '[]', status TEXT NOT NULL DEFAULT '', done INTEGER NOT NULL DEFAULT 0, "
        "failed INTEGER NOT NULL DEFAULT 0, expires_at REAL, error TEXT NOT NULL DEFAULT '')"
    )
    db.execute("ALTER TABLE call ADD COLUMN job INTEGER")
    db.execute("CREATE INDEX call_job ON call (job) WHERE job IS NOT NULL")


def m004_forgetting(db: sqlite3.Connection) -> None:
    """What chunks and documents were before, and what was erased.

    Without the first, answers about an older version could not be found to be erased; without the second (hashes), the
    next run would bring back what was.
    """
    db.execute(
        "CREATE TABLE former_chunk (document BLOB NOT NULL, content BLOB NOT NULL, words BLOB NOT NULL, "
        "PRIMARY KEY (document, content, words)) WITHOUT ROWID"
    )
    db.execute(
        "CREATE TABLE former_document (id BLOB NOT NULL, path TEXT NOT NULL, record TEXT NOT NULL, name TEXT NOT NULL, "
        "PRIMARY KEY (id, path)) WITHOUT ROWID"
    )
    db.execute("CREATE TABLE forgotten (key BLOB PRIMARY KEY, about BLOB NOT NULL, at TEXT NOT NULL) WITHOUT ROWID")
    was = (
        "INSERT OR IGNORE INTO former_chunk (document, content, words) "
        "SELECT id, old.content, old.words FROM document WHERE no = old.document"
    )
    db.execute(f"CREATE TRIGGER chunk_left BEFORE DELETE ON chunk BEGIN {was}; END")
    db.execute(
        "CREATE TRIGGER chunk_changed BEFORE UPDATE OF content, words ON chunk "
        f"WHEN old.content != new.content OR old.words != new.words BEGIN {was}; END"
    )
    db.execute("CREATE INDEX chunk_extract ON chunk (extract) WHERE extract IS NOT NULL")
    known = "INSERT OR REPLACE INTO former_document (id, path, record, name) VALUES (old.id, old.path, old.record, old.name)"
    db.execute(f"CREATE TRIGGER document_left BEFORE DELETE ON document BEGIN {known}; END")
    db.execute(
        "CREATE TRIGGER document_moved BEFORE UPDATE OF path, name ON document "
        f"WHEN old.path != new.path OR old.name != new.name BEGIN {known}; END"
    )


def m005_counting(db: sqlite3.Connection) -> None:
    """Indexes from which `kg status` and reports count who gave the current answers."""
    db.execute("CREATE INDEX chunk_embed ON chunk (embed) WHERE embed IS NOT NULL")
    db.execute("CREATE INDEX question_spec ON question (spec)")


def m006_settled(db: sqlite3.Connection) -> None:
    """Documents of which a plan need not read the chunks: all of them have their answers by this pair of specs, or wait
    for them. Whatever else happens to one of the chunks ends it, in the same transaction.
    """
    db.execute(
        "CREATE TABLE settled (document INTEGER PRIMARY KEY, extract INTEGER NOT NULL, embed INTEGER NOT NULL, "
        "chunks INTEGER NOT NULL)"
    )
    db.execute(
        "CREATE INDEX chunk_wanting ON chunk (document) WHERE want_extract IS NOT NULL OR want_embed IS NOT NULL"
    )
    as_it_was = "new.{0} IS old.{0} AND new.want_{0} IS old.want_{0}"
    answered = "new.{0} IS old.want_{0} AND new.want_{0} IS NULL"
    fine = " AND ".join(f"({as_it_was} OR {answered})".format(kind) for kind in ("extract", "embed"))
    same = " AND ".join(f"new.{column} IS old.{column}" for column in ("document", "content", "words"))
    ends = "DELETE FROM settled WHERE document"
    db.execute(f"CREATE TRIGGER chunk_new AFTER INSERT ON chunk BEGIN {ends} = new.document; END")
    db.execute(f"CREATE TRIGGER chunk_gone AFTER DELETE ON chunk BEGIN {ends} = old.document; END")
    db.execute(
        "CREATE TRIGGER chunk_other AFTER UPDATE OF document, content, words, extract, embed, want_extract, want_embed "
        f"ON chunk WHEN NOT ({same} AND {fine}) BEGIN {ends} IN (old.document, new.document); END"
    )
    db.execute(
        f"CREATE TRIGGER question_gone AFTER DELETE ON question BEGIN {ends} IN (SELECT document FROM chunk "
        "WHERE extract = old.no UNION SELECT document FROM chunk WHERE embed = old.no); END"
    )


def m007_forms(db: sqlite3.Connection) -> None:
    """In how many chunks an atom is named so, and of that type: who is named all the time is not counted anew each time.
    And an index of what the checks took out, lest a report read all words for it.
    """
    db.execute("CREATE INDEX chunk_dropped ON chunk (dropped) WHERE dropped != '{}'")
    db.execute(
        "CREATE TABLE form (atom INTEGER NOT NULL, name TEXT NOT NULL, type TEXT NOT NULL, chunks INTEGER NOT NULL, "
        "PRIMARY KEY (atom, name, type)) WITHOUT ROWID"
    )
    db.execute("INSERT INTO form SELECT atom, name, type, count(*) FROM mention GROUP BY atom, name, type")
    # Two statements, for an "OR IGNORE" of the statement that fires a trigger holds within it too.
    more = (
        "INSERT OR IGNORE INTO form VALUES (new.atom, new.name, new.type, 0); "
        "UPDATE form SET chunks = chunks + 1 WHERE atom = new.atom AND name = new.name AND type = new.type"
    )
    fewer = (
        "UPDATE form SET chunks = chunks - 1 WHERE atom = old.atom AND name = old.name AND type = old.type; "
        "DELETE FROM form WHERE atom = old.atom AND name = old.name AND type = old.type AND chunks = 0"
    )
    db.execute(f"CREATE TRIGGER mention_new AFTER INSERT ON mention BEGIN {more}; END")
    db.execute(f"CREATE TRIGGER mention_gone AFTER DELETE ON mention BEGIN {fewer}; END")
    db.execute(f"CREATE TRIGGER mention_other AFTER UPDATE OF atom, name, type ON mention BEGIN {fewer}; {more}; END")


def m008_grades(db: sqlite3.Connection) -> None:
    """How well the words bear out what was found, and how facts are said. All is derived again, for free."""
    db.execute("ALTER TABLE chunk ADD COLUMN graded TEXT NOT NULL DEFAULT '{}'")
    db.execute("ALTER TABLE statement ADD COLUMN modality INTEGER NOT NULL DEFAULT 0")
    db.execute("ALTER TABLE statement ADD COLUMN grade INTEGER NOT NULL DEFAULT 0")


def m009_resolution(db: sqlite3.Connection) -> None:
    """What says that two names are one, that they are not, and what a model was asked and answered about it.

    `origin` is where an edge comes from: a document's id, a block of like names, or x'' for a correction by hand, so
    that an edge goes when its ground does. `unsettled` are atoms whose components have to be made anew.
    """
    db.execute("ALTER TABLE merge_edge RENAME TO merge_edge_before")
    for statement in _RESOLUTION.split(";\n"):
        if statement.strip():
            db.execute(statement)
    db.execute(
        "INSERT INTO merge_edge (a, b, reason, origin, undone) SELECT a, b, reason, x'', undone FROM merge_edge_before"
    )
    db.execute("DROP TABLE merge_edge_before")


TALLIED = (
    "calls", "answered", "retried", "reasked", "chunks", "asked", "prompt", "cached", "completion", "reasoning", "cost",
    "answered_cost", "counted_cost", "counted_tokens", "saved", "unpriced", "unknown", "busy_us", "longest_us", "wait_us",
)  # fmt: skip
"""The sums of the tally (core_engine/ledger/tally.py): money in trillionths of a dollar, times in microseconds."""


def m010_who_pays(db: sqlite3.Connection) -> None:
    """Who calls are for, and what they came to. `tags` is a JSON object with sorted keys; a call's persona may differ
    from its run's. `call.tallied`: 0 not in the tally yet, 1 in it, 2 rolled up and kept for its reply.
    """
    db.execute("ALTER TABLE run ADD COLUMN persona TEXT NOT NULL DEFAULT ''")
    db.execute("ALTER TABLE run ADD COLUMN tags TEXT NOT NULL DEFAULT '{}'")
    db.execute("ALTER TABLE call ADD COLUMN persona TEXT NOT NULL DEFAULT ''")
    db.execute("UPDATE run SET persona = coalesce(json_extract(settings, '$.persona'), '')")
    db.execute(
        "UPDATE call SET persona = r.persona FROM run r WHERE r.id = call.run "
        "AND call.run IN (SELECT id FROM run WHERE persona != '')"
    )
    db.execute("ALTER TABLE run ADD COLUMN reuse_saved TEXT")  # US dollars
    db.execute(
        "UPDATE run SET reuse_saved = json_extract(report, '$.cost_usd.saved_by_reuse') WHERE report IS NOT NULL"
    )
    db.execute("ALTER TABLE call ADD COLUMN tallied INTEGER NOT NULL DEFAULT 0")
    db.execute("CREATE INDEX call_tallied ON call (tallied, started_at)")
    sums = ", ".join(f"{name} INTEGER NOT NULL" for name in TALLIED)
    db.execute(
        "CREATE TABLE tally (run TEXT NOT NULL, slot INTEGER NOT NULL, persona TEXT NOT NULL, stage TEXT NOT NULL, "
        f"endpoint TEXT NOT NULL, model TEXT NOT NULL, {sums}, errors TEXT NOT NULL, durations TEXT NOT NULL, "
        "waits TEXT NOT NULL, PRIMARY KEY (run, slot, persona, stage, endpoint, model)) WITHOUT ROWID"
    )


def m011_what_was_told(db: sqlite3.Connection) -> None:
    """What traces and `kg logs` say of a call besides: who answered how, and what of its limits is left (-1: not said)."""
    db.execute("ALTER TABLE call ADD COLUMN provider TEXT NOT NULL DEFAULT ''")
    db.execute("ALTER TABLE call ADD COLUMN temperature REAL NOT NULL DEFAULT 0")
    db.execute("ALTER TABLE call ADD COLUMN max_output INTEGER NOT NULL DEFAULT 0")
    db.execute("ALTER TABLE call ADD COLUMN http_status INTEGER NOT NULL DEFAULT 0")
    db.execute("ALTER TABLE call ADD COLUMN requests_left INTEGER NOT NULL DEFAULT -1")
    db.execute("ALTER TABLE call ADD COLUMN tokens_left INTEGER NOT NULL DEFAULT -1")


def m012_prompts(db: sqlite3.Connection) -> None:
    """What was asked besides the chunks, word for word: prompts of earlier versions can be shown and compared."""
    db.execute(
        "CREATE TABLE prompt (spec INTEGER PRIMARY KEY, name TEXT NOT NULL, hash TEXT NOT NULL, text TEXT NOT NULL)"
    )


def m013_service_tiers(db: sqlite3.Connection) -> None:
    """By which service tier a request was processed and is priced, as the provider says ('': it doesn't)."""
    db.execute("ALTER TABLE call ADD COLUMN tier TEXT NOT NULL DEFAULT ''")


def m014_written_when(db: sqlite3.Connection) -> None:
    """By which moment's reading a unit was written, so that one who begins anew passes over what he has written."""
    db.execute("ALTER TABLE projected ADD COLUMN at INTEGER NOT NULL DEFAULT 0")


def m015_blocks_to_look_at(db: sqlite3.Connection) -> None:
    """Blocks of names in which one is new or gone: who is killed before all are looked at must not forget them."""
    db.execute("CREATE TABLE unlooked (key TEXT PRIMARY KEY) WITHOUT ROWID")


MIGRATIONS: tuple[Migration, ...] = (
    m001_first_tables,
    m002_what_a_call_may_take,
    m003_batch_jobs,
    m004_forgetting,
    m005_counting,
    m006_settled,
    m007_forms,
    m008_grades,
    m009_resolution,
    m010_who_pays,
    m011_what_was_told,
    m012_prompts,
    m013_service_tiers,
    m014_written_when,
    m015_blocks_to_look_at,
)

_FIRST_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE run (
    id TEXT PRIMARY KEY, command TEXT NOT NULL, started_at REAL NOT NULL, ended_at REAL, status TEXT NOT NULL,
    exit_code INTEGER, pid INTEGER, host TEXT, settings TEXT NOT NULL, report TEXT
) WITHOUT ROWID;
CREATE INDEX run_started ON run (started_at);

CREATE TABLE source (
    path TEXT PRIMARY KEY, root TEXT NOT NULL, name TEXT NOT NULL, sha256 TEXT NOT NULL, size INTEGER NOT NULL,
    format TEXT NOT NULL, status TEXT NOT NULL, reason TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE document (
    no INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, path TEXT NOT NULL, record TEXT NOT NULL, name TEXT NOT NULL,
    title TEXT NOT NULL, metadata TEXT NOT NULL, content BLOB NOT NULL, cut TEXT NOT NULL,
    UNIQUE (path, record)
);
CREATE INDEX document_content ON document (content);

CREATE TABLE chunk (
    no INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, document INTEGER NOT NULL, seq INTEGER NOT NULL,
    name TEXT NOT NULL, content BLOB NOT NULL, words BLOB NOT NULL, turns BLOB NOT NULL, context BLOB NOT NULL,
    run TEXT,                                  -- the run that last had something to buy for it
    want_extract INTEGER, want_embed INTEGER,  -- the questions that this chunk waits for
    extract INTEGER, embed INTEGER,            -- the questions whose answers are current
    stale INTEGER NOT NULL DEFAULT 0,          -- the current extraction was not derived from yet
    derived BLOB,                              -- hash of what was derived
    dropped TEXT NOT NULL DEFAULT '{}'         -- what the checks took out, by reason
    -- content: hash of cleaned turns and context, what extraction is asked about; words: of the cleaned text alone
);
CREATE INDEX chunk_document ON chunk (document, seq);
CREATE INDEX chunk_want_extract ON chunk (want_extract) WHERE want_extract IS NOT NULL;
CREATE INDEX chunk_want_embed ON chunk (want_embed) WHERE want_embed IS NOT NULL;
CREATE INDEX chunk_run ON chunk (run) WHERE run IS NOT NULL;
CREATE INDEX chunk_stale ON chunk (no) WHERE stale;

CREATE TABLE spec (
    no INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, kind TEXT NOT NULL, description TEXT NOT NULL
);

CREATE TABLE question (
    no INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, spec INTEGER NOT NULL, state INTEGER NOT NULL,
    run TEXT, attempts INTEGER NOT NULL DEFAULT 0, reason TEXT, call INTEGER, answer BLOB
);
CREATE INDEX question_unanswered ON question (state, no) WHERE state != 2;

CREATE TABLE call (
    no INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, run TEXT NOT NULL, batch TEXT NOT NULL, stage TEXT NOT NULL,
    endpoint TEXT NOT NULL, model TEXT NOT NULL, spec INTEGER NOT NULL, questions BLOB NOT NULL,
    attempt INTEGER NOT NULL, purpose TEXT NOT NULL,
    ceiling TEXT, started_at REAL NOT NULL, wait_s REAL NOT NULL, status TEXT NOT NULL,
    duration_s REAL NOT NULL DEFAULT 0, prompt INTEGER NOT NULL DEFAULT 0, cached INTEGER NOT NULL DEFAULT 0,
    completion INTEGER NOT NULL DEFAULT 0, reasoning INTEGER NOT NULL DEFAULT 0, cost TEXT,
    error_kind TEXT NOT NULL DEFAULT '', error TEXT NOT NULL DEFAULT '', verdict TEXT NOT NULL DEFAULT '',
    model_answered TEXT NOT NULL DEFAULT '', finish_reason TEXT NOT NULL DEFAULT '',
    request_id TEXT NOT NULL DEFAULT '', reply BLOB, parsed INTEGER NOT NULL DEFAULT 1
);
CREATE INDEX call_run ON call (run, stage);
CREATE INDEX call_open ON call (status) WHERE status = 'sent';
CREATE INDEX call_unparsed ON call (no) WHERE NOT parsed;

CREATE TABLE atom (
    no INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, scope TEXT NOT NULL, norm TEXT NOT NULL, entity BLOB NOT NULL
);
CREATE INDEX atom_entity ON atom (entity);

CREATE TABLE merge_edge (
    a BLOB NOT NULL, b BLOB NOT NULL, reason TEXT NOT NULL, undone INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (a, b, reason)
) WITHOUT ROWID;
CREATE INDEX merge_edge_back ON merge_edge (b, a);

CREATE TABLE mention (
    atom INTEGER NOT NULL, chunk INTEGER NOT NULL, name TEXT NOT NULL, type TEXT NOT NULL, detail BLOB NOT NULL,
    PRIMARY KEY (atom, chunk)
) WITHOUT ROWID;
CREATE INDEX mention_chunk ON mention (chunk);

CREATE TABLE statement (
    chunk INTEGER NOT NULL, subject INTEGER NOT NULL, predicate TEXT NOT NULL, object INTEGER NOT NULL,
    turn INTEGER NOT NULL, detail BLOB NOT NULL,
    PRIMARY KEY (subject, predicate, object, chunk, turn)
) WITHOUT ROWID;
CREATE INDEX statement_chunk ON statement (chunk);

CREATE TABLE cooccurrence (
    a INTEGER NOT NULL, b INTEGER NOT NULL, chunk INTEGER NOT NULL, PRIMARY KEY (a, b, chunk)
) WITHOUT ROWID;
CREATE INDEX cooccurrence_chunk ON cooccurrence (chunk);

CREATE TABLE unit (
    kind INTEGER NOT NULL, key BLOB NOT NULL, changed INTEGER NOT NULL, PRIMARY KEY (kind, key)
) WITHOUT ROWID;
CREATE INDEX unit_changed ON unit (kind, changed);

-- The change log of the graph and the vectors: each unit's latest change. A store has all changes up to `synced`.
CREATE TABLE store (
    no INTEGER PRIMARY KEY, epoch TEXT NOT NULL UNIQUE, name TEXT NOT NULL, role TEXT NOT NULL,
    generation INTEGER NOT NULL, next_generation INTEGER NOT NULL, synced INTEGER NOT NULL
);

CREATE TABLE projected (
    store INTEGER NOT NULL, kind INTEGER NOT NULL, key BLOB NOT NULL, hash BLOB NOT NULL,
    PRIMARY KEY (store, kind, key)
) WITHOUT ROWID;
"""

_RESOLUTION = """
CREATE TABLE merge_edge (
    a BLOB NOT NULL, b BLOB NOT NULL, reason TEXT NOT NULL, origin BLOB NOT NULL,
    undone INTEGER NOT NULL DEFAULT 0,  -- by hand: taken back; else: it gave way to what is stronger
    PRIMARY KEY (a, b, reason, origin)
) WITHOUT ROWID;
DROP INDEX IF EXISTS merge_edge_back;
CREATE INDEX merge_edge_back ON merge_edge (b, a);
CREATE INDEX merge_edge_origin ON merge_edge (origin);

-- Never one: x'' by hand, else as a document or a block shows.
CREATE TABLE apart (
    a BLOB NOT NULL, b BLOB NOT NULL, origin BLOB NOT NULL, PRIMARY KEY (a, b, origin)
) WITHOUT ROWID;
CREATE INDEX apart_back ON apart (b, a);
CREATE INDEX apart_origin ON apart (origin);

-- Names that users gave to an entity, which is known by one of its atoms.
CREATE TABLE alias (
    atom BLOB NOT NULL, norm TEXT NOT NULL, name TEXT NOT NULL, PRIMARY KEY (atom, norm)
) WITHOUT ROWID;

-- Pairs that only a model can tell, and the question about each.
CREATE TABLE candidate (
    a BLOB NOT NULL, b BLOB NOT NULL, origin BLOB NOT NULL, PRIMARY KEY (a, b, origin)
) WITHOUT ROWID;
CREATE INDEX candidate_origin ON candidate (origin);
CREATE TABLE pair (
    a BLOB NOT NULL, b BLOB NOT NULL,
    want INTEGER,                      -- the question that it waits for
    question INTEGER,                  -- the one whose answer is current
    verdict TEXT NOT NULL DEFAULT '',  -- same | different | unsure
    PRIMARY KEY (a, b)
) WITHOUT ROWID;
CREATE INDEX pair_back ON pair (b);
CREATE INDEX pair_want ON pair (want) WHERE want IS NOT NULL;

CREATE TABLE name_key (key TEXT NOT NULL, atom INTEGER NOT NULL, PRIMARY KEY (key, atom)) WITHOUT ROWID;
CREATE INDEX name_key_atom ON name_key (atom);
CREATE INDEX atom_norm ON atom (norm);
CREATE TABLE unsettled (atom BLOB PRIMARY KEY) WITHOUT ROWID;
"""


def migrate(db: sqlite3.Connection) -> None:
    """Bring the ledger to this version of the tables. One of a newer version is left alone, with a LedgerError."""
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version > len(MIGRATIONS):
        raise LedgerError(
            f"the ledger was written by a newer kg (tables {version}, this one knows {len(MIGRATIONS)}): "
            "update kg, or name another --home"
        )
    for number, step in enumerate(MIGRATIONS[version:], start=version + 1):
        db.execute("BEGIN IMMEDIATE")
        try:
            # Another process may have been quicker between the look and the lock.
            if db.execute("PRAGMA user_version").fetchone()[0] < number:
                step(db)
                db.execute(f"PRAGMA user_version = {number}")
            db.execute("COMMIT")
        except BaseException:
            db.execute("ROLLBACK")
            raise
