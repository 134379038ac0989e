"""How fast commands answer in an old ledger: python tests/benchmarks/bench_ageing.py [--quick] [--chunks N].

A small corpus is processed once, with the test server's model; then its rows are multiplied in SQL, with new ids, until
the ledger holds a million chunks of 100 runs. What the commands read has the shape and size that a run gives it, but
for the vectors, which have 64 dimensions here.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from core_engine import keys
from core_engine.identity import digest
from tests.benchmarks.corpus import meetings
from tests.benchmarks.running import ROOT, Table, surroundings
from tests.kg import Kg
from tests.openai_server.fixture import start

_CHUNKS = 1_000_000
_RUNS = 100
_FILES = 20
_MEETINGS = 25
_BAR_S = 5.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="100,000 chunks")
    parser.add_argument("--chunks", type=int, help="so many chunks")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="make it there, or use what was made there before")
    arguments = parser.parse_args()
    wanted = arguments.chunks or (_CHUNKS // 10 if arguments.quick else _CHUNKS)
    print(surroundings(), flush=True)
    if arguments.keep:
        arguments.keep.mkdir(parents=True, exist_ok=True)
        if not (arguments.keep / ".kg").exists():
            _make(arguments.keep, wanted)
        _measure(arguments.keep)
        return
    with tempfile.TemporaryDirectory(prefix="kg-bench-") as name:
        _make(Path(name), wanted)
        _measure(Path(name))


def _measure(folder: Path) -> None:
    with _opened(folder) as db:
        ((chunks,),) = db.execute("SELECT count(*) FROM chunk")
        ((calls,),) = db.execute("SELECT count(*) FROM call")
        ((first,),) = db.execute("SELECT id FROM run ORDER BY started_at LIMIT 1")
    size = (folder / ".kg" / "default" / "ledger.sqlite3").stat().st_size / 1e6
    table = Table(f"{chunks:,} chunks, {calls:,} calls, {_RUNS} runs, a ledger of {size:,.0f} MB")
    table.at_most("kg --help, of which the others take as much", _seconds(folder, "--help"), unit="s")
    for words in (
        ("status",),
        ("runs",),
        ("runs", "--limit", "1000"),
        ("report",),
        ("report", first, "--json"),
        ("dead-letters",),
        ("dead-letters", "--reply", "--json"),
        ("search", "budget", "--vector-store", "none"),
        ("process", "in", "--vector-store", "none", "--graph-store", "none", "--dry-run"),
        ("estimate", "in"),
    ):
        table.at_most("kg " + " ".join(words), _seconds(folder, *words), _BAR_S, "s")
    for kind in ("jsonl", "graphml"):
        words = ("export", "--format", kind)
        table.at_most(f"first line of kg {' '.join(words)}", _seconds(folder, *words, to_first_line=True), _BAR_S, "s")
    table.show()
    longer = Table("and what reads or writes everything (seconds)")
    offline = ("--vector-store", "none", "--graph-store", "none")
    for words in (("process", "in", *offline), ("process", "in", *offline), ("verify", "--vector-store", "none")):
        longer.at_most("kg " + " ".join(words), _seconds(folder, *words), unit="s")
    longer.show()


def _seconds(folder: Path, *words: str, to_first_line: bool = False) -> float:
    """Wall time of a command in a process of its own, until its end or its first line."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("OPENAI_", "KG_"))}
    env |= {
        "PYTHONPATH": str(ROOT),
        "OPENAI_API_KEY": "x",
        "OPENAI_BASE_URL": "http://127.0.0.1:9",
        "KG_DIMENSIONS": "64",
    }
    command = [sys.executable, "-c", "import kg_batch; kg_batch.main()", *words]
    began = time.perf_counter()
    with subprocess.Popen(command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        if to_first_line:
            assert process.stdout is not None
            assert process.stdout.readline()
            process.terminate()
            return time.perf_counter() - began
        _, err = process.communicate()
    took = time.perf_counter() - began
    if process.returncode not in {0, 2}:
        print(f"  kg {' '.join(words)}: exit {process.returncode}: {err.decode()[-500:]}", file=sys.stderr)
    print(f"  {took:8.2f} s  kg {' '.join(words)}", file=sys.stderr, flush=True)
    return took


# --- making it -------------------------------------------------------------------------------------------------------


def _make(folder: Path, wanted: int) -> None:
    """A workspace of so many chunks: a real run over a small corpus, and its rows again and again."""
    (folder / "in").mkdir()
    lines = [
        json.dumps({"id": name, "turns": [{"speaker": who, "text": words} for who, words in turns]}) + "\n"
        for name, turns in meetings(_MEETINGS)
    ]
    (folder / "in" / "f0.jsonl").write_text("".join(lines), encoding="utf-8")
    with start(faults=[{"kind": "invalid_json", "rate": 0.01, "per": "chunk"}]) as server:
        kg = Kg(folder, OPENAI_BASE_URL=server.url, OPENAI_API_KEY="x")
        report = kg.process("in", "--dimensions", 64, "--vector-store", "none", code=2)
    copies = max(wanted // report["chunks"]["total"], _FILES) // _FILES * _FILES
    (folder / "in" / "f0.jsonl").rename(folder / "f.jsonl")
    began = time.perf_counter()
    with _opened(folder) as db:
        _multiply(db, folder, copies)
    print(f"made in {time.perf_counter() - began:,.0f} s", flush=True)


def _multiply(db: sqlite3.Connection, folder: Path, copies: int) -> None:
    """Copy every row `copies` times, under new numbers, ids and keys, as if they came of other files and runs."""
    template = (folder / "f.jsonl").read_text(encoding="utf-8")
    for pragma in ("synchronous = OFF", "journal_mode = OFF", "cache_size = -1000000"):
        db.execute(f"PRAGMA {pragma}")
    db.create_function("mixed", 2, lambda key, copy: digest(key.hex(), str(copy)), deterministic=True)
    db.create_function("question_key", 2, keys.key, deterministic=True)
    ((path, run),) = db.execute("SELECT s.path, r.id FROM source s, run r")
    steps = {table: db.execute(f"SELECT max(no) FROM {table}").fetchone()[0] for table in _NUMBERED}
    db.execute("BEGIN")
    for file in range(_FILES):
        _copy_source(db, path, template * (copies // _FILES), file)
    for number in range(_RUNS):
        db.execute(
            "INSERT INTO run SELECT ?1 || id, command, started_at + ?2, ended_at + ?2, status, exit_code, pid, host, "
            "settings, report FROM run WHERE id = ?3",
            (f"{number:03}-", 3600.0 * number, run),
        )
    for copy in range(1, copies + 1):
        values = {name: steps[name] * copy for name in _NUMBERED} | {"copy": copy, "path": path}
        # Ten copies name the same things: an entity stands in more than one meeting.
        values |= {"group": copy // 10 + 1, "atom": steps["atom"] * (copy // 10 + 1)}
        values |= {"to": path.replace("f0.", f"f{copy % _FILES}."), "run": f"{copy % _RUNS:03}-{run}"}
        values |= {name + "s": step for name, step in steps.items()}
        for statement in _COPY.split(";"):
            db.execute(statement, values)
    for table in _UNNUMBERED:
        db.execute(f"DELETE FROM {table} WHERE chunk <= ?", (steps["chunk"],))
    for table in _NUMBERED:
        db.execute(f"DELETE FROM {table} WHERE no <= ?", (steps[table],))
    db.execute("DELETE FROM run WHERE id = ?", (run,))
    db.execute("DELETE FROM former_chunk")
    db.execute("DELETE FROM former_document")
    db.execute("COMMIT")
    db.execute("PRAGMA journal_mode = WAL")


def _copy_source(db: sqlite3.Connection, path: str, text: str, file: int) -> None:
    to = Path(path.replace("f0.", f"f{file}."))
    data = (text + "\n" * file).encode()
    to.write_bytes(data)
    db.execute(
        "INSERT OR REPLACE INTO source SELECT ?1, root, ?2, ?3, ?4, format, status, reason FROM source WHERE path = ?5",
        (str(to), to.name, hashlib.sha256(data).hexdigest(), len(data), path),
    )


_NUMBERED = ("document", "chunk", "question", "call", "atom")
_UNNUMBERED = ("mention", "statement", "cooccurrence")
_COPY = """
INSERT INTO document SELECT no + :document, mixed(id, :copy), :to, record || '-' || :copy, name, title, metadata,
    mixed(content, :copy), cut FROM document WHERE no <= :documents;
INSERT INTO chunk SELECT no + :chunk, mixed(id, :copy), document + :document, seq, name, mixed(content, :copy),
    mixed(words, :copy), turns, context, :run, want_extract + :question, want_embed + :question, extract + :question,
    embed + :question, stale, derived, dropped FROM chunk WHERE no <= :chunks;
INSERT OR IGNORE INTO question SELECT q.no + :question, question_key(s.hash, mixed(c.content, :copy)), q.spec, q.state,
    :run, q.attempts, q.reason, q.call + :call, q.answer
    FROM chunk c JOIN question q ON q.no = coalesce(c.extract, c.want_extract) JOIN spec s ON s.no = q.spec
    WHERE c.no <= :chunks;
INSERT OR IGNORE INTO question SELECT q.no + :question, question_key(s.hash, mixed(c.words, :copy)), q.spec, q.state,
    :run, q.attempts, q.reason, q.call + :call, q.answer
    FROM chunk c JOIN question q ON q.no = coalesce(c.embed, c.want_embed) JOIN spec s ON s.no = q.spec
    WHERE c.no <= :chunks;
INSERT INTO call SELECT no + :call, id || '-' || :copy, :run, batch, stage, endpoint, model, spec, questions, attempt,
    purpose, ceiling, started_at, wait_s, status, duration_s, prompt, cached, completion, reasoning, cost, error_kind,
    error, verdict, model_answered, finish_reason, request_id, reply, parsed, tokens_at_most, measured, job
    FROM call WHERE no <= :calls;
INSERT OR IGNORE INTO atom SELECT no + :atom, mixed(id, :group), scope, norm, mixed(entity, :group)
    FROM atom WHERE no <= :atoms;
INSERT INTO mention SELECT atom + :atom, chunk + :chunk, name, type, detail FROM mention WHERE chunk <= :chunks;
INSERT INTO statement SELECT chunk + :chunk, subject + :atom, predicate, object + :atom, turn, detail
    FROM statement WHERE chunk <= :chunks;
INSERT INTO cooccurrence SELECT a + :atom, b + :atom, chunk + :chunk FROM cooccurrence WHERE chunk <= :chunks;
INSERT OR IGNORE INTO unit SELECT 1, mixed(id, :copy), 1 FROM document WHERE no <= :documents;
INSERT OR IGNORE INTO unit SELECT 3, mixed(id, :copy), 1 FROM chunk WHERE no <= :chunks;
INSERT OR IGNORE INTO unit SELECT 2, mixed(entity, :group), 1 FROM atom WHERE no <= :atoms;
INSERT OR IGNORE INTO unit SELECT 4, CAST(mixed(s.entity, :group) || mixed(o.entity, :group) || t.predicate AS BLOB), 1
    FROM statement t JOIN atom s ON s.no = t.subject JOIN atom o ON o.no = t.object WHERE t.chunk <= :chunks;
INSERT OR IGNORE INTO projected SELECT 1, kind, key, randomblob(16) FROM unit WHERE changed = 1;
UPDATE unit SET changed = 2 WHERE changed = 1
"""


def _opened(folder: Path) -> sqlite3.Connection:
    return sqlite3.connect(folder / ".kg" / "default" / "ledger.sqlite3", isolation_level=None)


if __name__ == "__main__":
    main()
