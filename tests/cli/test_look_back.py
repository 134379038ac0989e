"""`kg logs`: a run's log, its calls, and one call with what was asked and answered."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kg import Kg, write_meetings
from tests.openai_server.fixture import Server


@pytest.fixture
def kg(openai_server: Callable[..., Server], tmp_path: Path) -> Kg:
    faults = [{"kind": "http500", "times": 1, "stage": "chat"}, {"kind": "left_out", "times": 1, "stage": "chat"}]
    server = openai_server(faults=faults)
    write_meetings(tmp_path / "t", 1, turns=30)
    kg = Kg(tmp_path, OPENAI_BASE_URL=server.url, OPENAI_API_KEY="sk-test")
    kg.process("t")
    return kg


def calls(kg: Kg) -> list[dict[str, object]]:
    return json.loads(kg("logs", "--calls", "--json").out)


def one(kg: Kg, **wanted: object) -> str:
    return next(str(call["id"]) for call in calls(kg) if wanted.items() <= call.items())


def test_the_log_of_the_last_run_is_short_and_readable(kg):
    ran = kg("logs")
    assert ran.code == 0
    assert "! http" in ran.out  # the failed attempt
    assert "{" not in ran.out
    assert "extract answered" not in ran.out
    assert "extract answered" in kg("logs", "--level", "debug").out
    assert "process default" not in kg("logs", "--level", "warning").out


def test_calls_are_listed_and_each_can_be_shown_by_its_id_or_the_beginning_of_it(kg):
    listed = calls(kg)
    assert {call["stage"] for call in listed} == {
        "extract",
        "embed",
        *(c["stage"] for c in listed if c["stage"] == "resolve"),
    }
    identity = one(kg, stage="extract", status="answered")
    said = json.loads(kg("logs", "last", "--call", identity[:16], "--json").out)
    assert said["call_id"] == identity
    assert said["log"][0]["call_id"] == identity
    assert said["log"][0]["tokens"] == said["prompt"] + said["completion"]
    assert (said["provider"], said["http_status"], said["prompt_version"]) == ("local", 200, "extract.v2")
    hyphens = f"{identity[:8]}-{identity[8:12]}"
    assert identity in kg("logs", "--call", hyphens).out


def test_the_content_of_a_call_is_what_was_sent_and_what_came(kg, openai_server):
    sent = [line["body"] for line in openai_requests(kg) if "/chat/" in line["path"]]
    messages = [message["content"] for body in sent for message in body["messages"] if message["role"] == "user"]
    for call in calls(kg):
        if call["stage"] == "extract":
            said = json.loads(kg("logs", "--call", call["id"], "--content", "--json").out)
            assert said["content"]["asked"] in messages
    answered = one(kg, stage="extract", status="answered")
    text = kg("logs", "--call", answered, "--content").out
    assert "--- asked ---\nSPEAKERS" in text
    assert "--- answered ---\n{" in text


def openai_requests(kg: Kg) -> list[dict[str, object]]:
    import urllib.request

    url = kg.env["OPENAI_BASE_URL"].removesuffix("/v1") + "/__requests"
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url) as reply:
        return json.load(reply)


def test_what_was_wrong_with_a_reply_is_said_by_chunk(kg):
    partial = next(str(call["id"]) for call in calls(kg) if str(call["verdict"]).startswith("partial"))
    said = json.loads(kg("logs", "--call", partial, "--content", "--json").out)
    assert set(said["content"]["problems"].values()) == {"left_out"}
    assert "what was wrong with it" in kg("logs", "--call", partial, "--content").out


def test_the_content_of_an_embedding_is_its_texts_and_of_a_failed_call_what_was_asked(kg):
    text = kg("logs", "--call", one(kg, stage="embed"), "--content").out
    assert "Ann Lee: In meeting 0 point 0" in text
    failed = json.loads(kg("logs", "--call", one(kg, status="failed"), "--content", "--json").out)
    assert failed["error_kind"] == "http_500"
    assert failed["content"]["replied"] == ""
    assert failed["content"]["asked"]


def test_chunks_that_were_erased_since_are_not_shown(kg):
    kg("forget", "m0.txt", "--yes")
    listed = calls(kg)
    for call in listed:
        ran = kg("logs", "--call", call["id"], "--content")
        assert ran.code == 0
        assert "Falcon" not in ran.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--call", "zz"), "is no call's id"),
        (("--call", "abc"), "is no call's id"),
        (("--call", "0000000000"), "no call begins with"),
        (("--content",), "--content is about one call"),
        (("--level", "loud"), "choose one of"),
        (("nosuchrun",), "no run is called"),
    ],
)
def test_what_can_not_be_shown_is_said(kg, words, said):
    ran = kg("logs", *words)
    assert ran.code == 1
    assert said in ran.err


def test_a_log_that_was_deleted_is_said_so_while_calls_can_still_be_listed(kg):
    for path in (kg.folder / ".kg" / "default" / "runs").rglob("run.log"):
        path.unlink()
    assert "is not there" in kg("logs").err
    assert calls(kg)
