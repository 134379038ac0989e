"""Nothing of what was said leaves the ledger and the stores by the way: no log, error, event or trace holds it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.collectors.fixture import Running
from tests.kg import Kg, Ran
from tests.openai_server.fixture import Server

WORDS = ("Zephyrine", "Quillby", "Marrowgate", "lighthouse keeper", "brass telescope")
KEYS = ("canary-key", "canary key", "sk-test-canary")
_LINES = [
    "Zephyrine Quillby: I met the lighthouse keeper of Marrowgate, and sold her my brass telescope on Monday.",
    "Otto Fenn: Zephyrine Quillby said that Marrowgate Holdings will buy the lighthouse in spring.",
    "Zephyrine Quillby: Write to zephyrine@marrowgate.example or call +44 20 7946 0958, card 4111 1111 1111 1111.",
]


def write_transcripts(folder: Path) -> None:
    folder.mkdir()
    for number in range(3):
        lines = [f"{line} That was point {number}-{at}." for at in range(8) for line in _LINES]
        (folder / f"meeting-{number}.txt").write_text("\n".join(lines), encoding="utf-8")
    (folder / "bad.jsonl").write_text('{"speaker": "Zephyrine Quillby", "text": "brass tel\n', encoding="utf-8")
    (folder / "bad.vtt").write_bytes(b"WEBVTT\n\n00:99 --> x\nZephyrine Quillby: the brass telescope\n\xff\xfe")


@pytest.fixture
def kg(openai_server: Callable[..., Server], collectors: Running, tmp_path: Path) -> Kg:
    """A server that quotes what it was asked in its errors, refuses some chunks, and answers others with rubbish."""
    faults = [
        {"kind": "quotes", "times": 4},
        {"kind": "refusal", "match": "point 0-1", "stage": "chat"},
        {"kind": "invalid_json", "times": 2, "stage": "chat"},
    ]
    server = openai_server(faults=faults)
    write_transcripts(tmp_path / "t")
    return Kg(tmp_path, OPENAI_BASE_URL=server.url, OPENAI_API_KEY="sk-test-canary", **collectors.env)


def watched(kg: Kg, ran: Ran, collectors: Running) -> Iterator[tuple[str, str]]:
    """Everything that can be seen from outside: (where, text)."""
    yield "stdout", ran.out
    yield "stderr", ran.err
    for path in (kg.folder / ".kg" / "default" / "runs").rglob("*"):
        if path.is_file():
            yield path.name, path.read_text("utf-8")
    for service, records in collectors.got().items():
        for record in records:
            yield service, json.dumps(record, ensure_ascii=False)


def found(kg: Kg, ran: Ran, collectors: Running, words: tuple[str, ...]) -> list[tuple[str, str, str]]:
    seen = list(watched(kg, ran, collectors))
    assert {"stderr", "run.log", "report.json", "langsmith", "langfuse", "posthog", "otlp"} <= {
        where for where, _ in seen
    }
    return [
        (where, word, text[max(at - 80, 0) : at + 80])
        for where, text in seen
        for word in words
        if (at := text.casefold().find(word.casefold())) >= 0
    ]


def test_no_name_and_no_sentence_of_a_transcript_is_in_a_log_an_error_an_event_or_a_trace(kg, collectors):
    ran = kg("process", "t", "--json", "-v", "--batch-size", 4)
    assert ran.code == 2, ran.err
    assert ran.report["dead_letters"]
    assert "Internal error near" in ran.err
    assert found(kg, ran, collectors, WORDS) == []


def test_no_key_of_a_service_is_in_a_log_an_error_or_a_report(kg, collectors):
    collectors.be(all_of_them="401")
    ran = kg("process", "t", "--json", "-v")
    texts = [(where, text) for where, text in watched(kg, ran, collectors)]
    assert [(where, key) for where, text in texts for key in KEYS if key in text] == []


def contents(got: dict[str, list[dict[str, Any]]]) -> dict[str, str]:
    return {service: json.dumps(records, ensure_ascii=False) for service, records in got.items()}


def test_content_is_in_the_traces_where_the_user_wants_it(kg, collectors):
    kg("process", "t", "--json", "--trace-content", "both")
    said = contents(collectors.got())
    for service in ("langsmith", "langfuse", "posthog", "phoenix", "otlp"):
        assert "brass telescope" in said[service], service
        assert "Zephyrine Quillby" in said[service], service


def test_prompts_alone_and_replies_alone_can_be_wanted(kg, collectors):
    kg("process", "t", "--json", "--trace-content", "replies")
    said = contents(collectors.got())
    assert "Quillby" in said["otlp"]  # named in replies
    assert "brass telescope on Monday" not in said["otlp"]  # said in prompts alone
    collectors.reset()
    kg("process", "t", "--json", "--trace-content", "prompts", "--workspace", "other")
    assert "brass telescope on Monday" in contents(collectors.got())["otlp"]
    assert "output.value" not in contents(collectors.got())["otlp"]


def test_masked_content_has_no_speaker_email_phone_or_card(kg, collectors):
    kg("process", "t", "--json", "--trace-content", "both", "--trace-mask")
    for service, said in contents(collectors.got()).items():
        if service == "scores":
            continue
        assert "brass telescope" in said, service
        for word in ("Zephyrine", "Quillby", "Otto", "Fenn", "zephyrine@", "20 7946", "1111 1111"):
            assert not re.search(word, said), (service, word)
        assert {"[speaker]", "[email]", "[phone]", "[card]"} <= set(re.findall(r"\[\w+\]", said))
