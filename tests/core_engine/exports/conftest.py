"""A workspace with everything in it that a graph can hold, and with names made to break out of any format."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator

import pytest

from core_engine.exports.formats import FORMATS
from core_engine.ledger.looking import looking
from tests.kg import ROOT, Kg
from tests.openai_server.fixture import start

EVIL = (
    '=HYPERLINK("http://x")',
    "@SUM(A1)",
    "</node><x>&]]>",
    "a\x00b\x0b\ufffe\r\nc",
    "q\"uote, 'single' \\ back\\u0027",
    "'}] DETACH DELETE n //",
    "\u2028line\x85ends\x1f",
    "Ann \ud800 Lee",
    "\N{GRINNING FACE} 名前 Ω",
)


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Kg:
    """The samples as a model reads them, and a talk between people of terrible names as the rules do."""
    kg = Kg(tmp_path_factory.mktemp("whole"))
    with start(gold="data/gold/conversations.jsonl") as server:
        model = {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "x"}
        kg.process(ROOT / "data/transcripts", "--embedder", "none", **model)
    said = [
        {"speaker": name, "start": at, "text": "The Falcon is late, says Wei Chen."} for at, name in enumerate(EVIL)
    ]
    (kg.folder / "talk.json").write_text(json.dumps(said), encoding="utf-8")
    kg.process("talk.json", "--no-model", "--embedder", "none")
    return kg


@pytest.fixture(scope="session")
def ledger(whole: Kg) -> Iterator[sqlite3.Connection]:
    with looking(whole.folder / ".kg/default/ledger.sqlite3") as db:
        yield db


def exported(db: sqlite3.Connection, format_: str) -> dict[str, bytes]:
    """The files of an export, by name."""
    files: dict[str, bytearray] = {}
    for name, part in FORMATS[format_].parts(db, "default"):
        files.setdefault(name, bytearray()).extend(part if isinstance(part, bytes) else part.encode())
    return {name: bytes(data) for name, data in files.items()}
