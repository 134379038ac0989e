"""What a home holds is its owner's alone, and no secret is in it or in what is said."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kg import Kg, Ran, write_meetings
from tests.openai_server.fixture import Server

SECRETS = {
    "OPENAI_API_KEY": "sk-canary-1111",
    "KG_EMBEDDING_API_KEY": "sk-canary-2222",
    "NEO4J_PASSWORD": "canary-3333",
    "QDRANT_API_KEY": "canary-4444",
}
IN_URLS = "canary-5555"


def _leaks(kg: Kg, *runs: Ran) -> list[str]:
    said = {f"output {at}": (ran.out + ran.err).encode() for at, ran in enumerate(runs)}
    said |= {str(path): path.read_bytes() for path in kg.folder.rglob("*") if path.is_file()}
    return [
        f"{where}: {secret}"
        for where, text in said.items()
        for secret in (*SECRETS.values(), IN_URLS)
        if secret.encode() in text
    ]


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_files_are_their_owners_whatever_the_umask_says(kg: Kg) -> None:
    write_meetings(kg.folder / "meetings", 1, turns=8)
    before = os.umask(0o022)
    try:
        kg.process("meetings", "--output-dir", "reports", "--log-file", "logs/kg.log")
        assert kg("export", "--out", "graph.jsonl").code == 0
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(before)
    written = [
        kg.folder / ".kg",
        *(kg.folder / ".kg").rglob("*"),
        *(kg.folder / "reports").rglob("*"),
        kg.folder / "logs/kg.log",
    ]
    assert any("vectors" in str(path) for path in written)
    assert [f"{stat.S_IMODE(p.stat().st_mode):o} {p}" for p in written if p.stat().st_mode & 0o077] == []
    assert stat.S_IMODE((kg.folder / "graph.jsonl").stat().st_mode) == 0o644


@pytest.mark.parametrize("verbose", [(), ("-v",)])
def test_no_secret_is_said_or_kept_on_a_good_run(
    kg: Kg, openai_server: Callable[..., Server], verbose: tuple[str, ...]
) -> None:
    write_meetings(kg.folder / "meetings", 1, turns=8)
    url = openai_server().url.replace("http://", f"http://user:{IN_URLS}@")
    env = {**SECRETS, "OPENAI_BASE_URL": url, "HTTPS_PROXY": f"http://proxy:{IN_URLS}@127.0.0.1:9"}
    runs = [
        kg("process", "meetings", *verbose, **env),
        kg("report", "--json", **env),
        kg("config", **env),
        kg("status", **env),
    ]
    assert runs[0].code == 0, runs[0].err
    assert _leaks(kg, *runs) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"OPENAI_BASE_URL": f"http://user:{IN_URLS}@127.0.0.1:9/v1"},
        {"NEO4J_URI": f"bolt://neo4j:{IN_URLS}@127.0.0.1:9"},
        {"QDRANT_URL": f"http://user:{IN_URLS}@127.0.0.1:9"},
        {"OPENAI_BASE_URL": f"http//user:{IN_URLS}@127.0.0.1"},
        {"QDRANT_URL": f"ftp://user:{IN_URLS}@127.0.0.1:9"},
    ],
)
def test_no_secret_is_said_or_kept_where_something_is_away_or_wrong(kg: Kg, wrong: dict[str, str]) -> None:
    write_meetings(kg.folder / "meetings", 1, turns=4)
    env = {**{k: v for k, v in SECRETS.items() if "OPENAI" not in k and "EMBEDDING" not in k}, **wrong}
    runs = [kg("process", "meetings", "-v", "--retries", "0", **env), kg("config", **env), kg("doctor", **env)]
    assert runs[0].code in {1, 5}, runs[0].err
    assert _leaks(kg, *runs) == []


def test_a_key_that_the_server_echoes_in_its_refusal_stays_out(kg: Kg, openai_server: Callable[..., Server]) -> None:
    write_meetings(kg.folder / "meetings", 1, turns=4)
    server = openai_server(require_key="another")
    runs = [kg("process", "meetings", "-v", **SECRETS, OPENAI_BASE_URL=server.url)]
    assert runs[0].code == 5
    assert _leaks(kg, *runs) == []
    assert Path(kg.folder / ".kg").is_dir()
