"""Over every sample of every format: a turn's words stand at its place, and no change of bytes does worse than an error.

KG_MUTANTS=2000 makes as many mutants as the full check; the usual run makes a few of each file.
"""

from __future__ import annotations

import contextlib
import gzip
import html
import json
import os
import random
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core_engine.chunking.cut import cut
from core_engine.errors import ReadError
from core_engine.readers.registry import FORMATS, Source, discover, fingerprint, read
from core_engine.types import Place, Transcript, Turn
from tests.core_engine.readers.reading import written
from tests.formats import SMALL

SAMPLES = Path(__file__).parents[3] / "data" / "transcripts"
RUNNING = ("text", "markdown")
"""Formats whose turns are slices of the text, to the character."""
MUTANTS = int(os.environ.get("KG_MUTANTS", "150"))


def files() -> list[Path]:
    """All samples, and the shared small set where it is."""
    return [
        path for folder in (SAMPLES, SMALL) if folder.is_dir() for path in sorted(folder.rglob("*")) if path.is_file()
    ]


def text_of(path: Path) -> str:
    data = path.read_bytes()
    return (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode("utf-8-sig")


def at(value: Any, pointer: str) -> Any:
    for escaped in pointer.split("/")[1:]:
        key = escaped.replace("~1", "/").replace("~0", "~")
        value = value[int(key)] if isinstance(value, list) else value[key]
    return value


def spoken(text: str) -> str:
    """Letters and digits alone: what of a text can be said."""
    return "".join(re.findall(r"[^\W_]", text))


def plain(raw: str, format_: str) -> str:
    """What stands in the file, without what its format adds to the words."""
    if format_ == "nlp":
        return " ".join(line.split("|")[0] for line in raw.splitlines())
    return raw if format_ in RUNNING else html.unescape(re.sub(r"<[^<>]*>|\{\\[^{}]*\}", "", raw))


def pieces(turn: Turn, format_: str) -> Iterator[tuple[str, Place]]:
    """The turn's words with their places: those of each caption that it was joined from, where there are such."""
    captions = [] if format_ in RUNNING else [mark for mark in turn.marks if mark.place != Place()]
    if not captions or captions[0].at:
        yield turn.text, turn.place
        return
    ends = [mark.at for mark in captions[1:]] + [len(turn.text)]
    for mark, end in zip(captions, ends, strict=True):
        yield turn.text[mark.at : end], mark.place


@pytest.mark.parametrize("path", files(), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_the_words_of_a_turn_stand_at_its_place(path):
    (source,) = discover([str(path)])
    try:
        reading = read(source)
    except ReadError:
        pytest.skip("no transcript")
    if reading.encoding == "binary":
        pytest.skip("its places are paragraphs")
    text = text_of(path)
    lines = text.splitlines()
    looked = 0
    for item in reading.items:
        assert isinstance(item, Transcript)
        for turn in item.turns:
            for words, place in pieces(turn, reading.format):
                if place.pointer:
                    whole = at(json.loads(text if reading.format == "json" else lines[place.line - 1]), place.pointer)
                    raw = whole if place.start is None else whole[place.start : place.end]
                else:
                    assert place.start is not None
                    raw = text[place.start : place.end]
                    before = text[: place.start].replace("\r\n", "\n").replace("\r", "\n")
                    assert place.line == before.count("\n") + 1
                if reading.format in RUNNING:
                    assert words == raw
                there = spoken(plain(str(raw), reading.format))
                # Where a service lists single words, a turn's place is that of its first one.
                assert spoken(words) in there or (place.pointer and spoken(words).startswith(there)), (words, raw)
                looked += 1
    assert looked


def mutant(data: bytes, dice: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(dice.randint(1, 8)):
        here = dice.randrange(len(changed) + 1)
        match dice.randrange(5):
            case 0:
                changed[here : here + dice.randint(1, 400)] = b""
            case 1:
                changed[here:here] = dice.choice(
                    [b"\0", b"\xff\xfe", b"{", b"]", b'"', b"\r", b"\\ud800", b"-->", b"::", b"<v ", b"9" * 30, b"<!ENTITY",
                     b"\xe2\x80\xae", b"&#x110000;", b"1e999", b"[" * 300, b"PK\x05\x06"]
                )  # fmt: skip
            case 2:
                changed[here:here] = changed[: dice.randint(1, 2000)] * dice.choice([1, 1, 1, 40])
            case 3:
                changed[here : here + 1] = bytes([dice.randrange(256)])
            case _:
                del changed[here:]
    return bytes(changed)


@pytest.mark.parametrize("path", files(), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_mutant_is_read_or_refused_and_never_hangs(path, tmp_path):
    data = path.read_bytes()[:200_000]
    dice = random.Random(path.name)
    names = [path.name, path.name, path.name, "a.txt", "a.json", "a.csv", "a"]
    for _ in range(max(2, MUTANTS // len(files()))):
        source = written(tmp_path, dice.choice(names), mutant(data, dice))
        asked = dice.choice([None] * 8 + [format_.name for format_ in FORMATS])
        before = time.process_time()
        with contextlib.suppress(ReadError):
            for item in read(source, fingerprint(source), asked).items:
                if isinstance(item, Transcript):
                    assert all(turn.text for turn in item.turns)
                    cut("d", item.turns)
        assert time.process_time() - before < 5, source.path


def test_there_is_a_sample_of_every_format():
    found = set()
    for source in discover([str(SAMPLES)]):
        assert isinstance(source, Source)
        found.add(read(source).format)
    assert found == {format_.name for format_ in FORMATS}
