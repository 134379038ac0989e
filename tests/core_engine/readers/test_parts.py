"""Files too large to be held: in parts that together are what the whole would have been, and that edits leave alone."""

import json
import tracemalloc

import pytest

from core_engine.chunking.cut import cut
from core_engine.readers import parts
from core_engine.readers.parts import Part
from core_engine.readers.registry import fingerprint, read
from core_engine.types import Transcript
from tests.core_engine.readers.reading import items_of, said, written

PEOPLE = ("Ann Lee", "Bob Marsh", "Cleo Diaz")
CAPTION = "{0}\n00:{1:02}:{2:02}{3}000 --> 00:{1:02}:{2:02}{3}900\n"


def words(n: int) -> str:
    return f"This is what we say in turn {n}, äöü — and point {n * n % 97} is {'long ' * (n % 9)}enough."


def text(count: int) -> str:
    return "".join(f"{PEOPLE[n % 3]}: {words(n)}\n" + ("\n" if n % 7 == 0 else "") for n in range(count))


def stamps_above(count: int) -> str:
    return "".join(f"{PEOPLE[n % 3]}  {n // 60}:{n % 60:02}\n{words(n)}\n\n{words(n + 1)}\n\n" for n in range(count))


def markdown(count: int) -> str:
    return "---\ntitle: Talk\n---\n\n" + "".join(f"**{PEOPLE[n % 3]}:** {words(n)}\n\n---\n\n" for n in range(count))


def captions(count: int, point: str) -> str:
    return "".join(
        f"{CAPTION.format(n + 1, n // 60, n % 60, point)}{PEOPLE[n // 4 % 3]}: {words(n)}\n\n" for n in range(count)
    )


def table(count: int) -> str:
    rows = (f'{n},{PEOPLE[n % 3]},"{words(n)}\nand ""more"" of it"\r\n' for n in range(count))
    return "start,speaker,text\r\n" + "".join(rows)


def sbv(count: int) -> str:
    return "".join(
        f"0:{n // 60:02}:{n % 60:02}.000,0:{n // 60:02}:{n % 60:02}.900\n{PEOPLE[n // 4 % 3]}: {words(n)}\n\n"
        for n in range(count)
    )


def tokens(count: int) -> str:
    rows = (
        f"{word}|{n // 3 % 3}|{n}.{k}|{n}.{k + 1}||LC|[]\n"
        for n in range(250, 250 + count)
        for k, word in enumerate(words(n).replace('"', "").split())
    )
    return "token|speaker|ts|endTs|punctuation|case|tags\n" + "".join(rows)


def segments(count: int) -> str:
    items = [{"start": n, "speaker": PEOPLE[n // 3 % 3], "text": words(n)} for n in range(count)]
    return json.dumps(
        {"language": "en", "about": [{"x": [n]} for n in range(50)], "text": "w " * 5000, "segments": items}
    )


def turn_lines(count: int) -> str:
    return "".join(json.dumps({"speaker": PEOPLE[n % 3], "text": words(n)}) + "\n" for n in range(count))


def chunk_lines(count: int) -> str:
    return "".join(
        json.dumps({"chunk_id": f"c{n}", "meeting_id": "m", "seq": n, "text": f"{PEOPLE[n % 3]}: {words(n)}"}) + "\n"
        for n in range(count)
    )


FILES = {
    "a.txt": text(900),
    "b.txt": stamps_above(400),
    "a.md": markdown(900),
    "a.srt": captions(900, ","),
    "a.vtt": "WEBVTT\n\n" + captions(900, "."),
    "a.csv": table(900),
    "a.sbv": sbv(900),
    "a.nlp": tokens(150),
    "a.json": segments(900),
    "turns.jsonl": turn_lines(700),
    "chunks.jsonl": chunk_lines(700),
}


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(parts, "LARGEST", 16_000)
    monkeypatch.setattr(parts, "LEAST", 8_000)


def transcripts_of(folder, name: str, content: str) -> list[Transcript]:
    found = items_of(folder, name, content)
    assert all(isinstance(item, Transcript) for item in found), found
    return found


@pytest.mark.parametrize("name", FILES)
def test_the_parts_together_are_the_whole(tmp_path, name, small_parts, monkeypatch):
    several = transcripts_of(tmp_path, name, FILES[name])
    assert len(several) > 2
    assert [item.record.removeprefix("m ") for item in several] == [f"part {n}" for n in range(1, len(several) + 1)]
    monkeypatch.setattr(parts, "LARGEST", 1 << 21)
    (whole,) = transcripts_of(tmp_path, name, FILES[name])
    assert whole.record in ("", "m")
    assert {item.title for item in several} == {whole.title}
    assert all(item.metadata == whole.metadata for item in several)
    assert sum(len(item.ready or ()) for item in several) == len(whole.ready or ())

    def spoken(items):
        return [(turn.speaker, word) for item in items for turn in item.turns for word in turn.text.split()]

    def placed(items):
        return {mark.place for item in items for turn in item.turns for mark in turn.marks or (turn,)}

    assert spoken(several) == spoken([whole])
    if name not in ("b.txt", "a.nlp"):  # a turn of several paragraphs, or a sentence of tokens, may be cut between them
        assert placed(several) == placed([whole])


@pytest.mark.parametrize("name", ["a.txt", "b.txt", "a.md", "a.csv"])
def test_a_turns_text_stands_at_its_place_in_the_file(tmp_path, name, small_parts):
    content = FILES[name]
    for transcript in transcripts_of(tmp_path, name, content):
        for turn in transcript.turns:
            assert content[turn.place.start : turn.place.end].replace('""', '"') == turn.text
            assert content[: turn.place.start].replace("\r\n", "\n").count("\n") + 1 == turn.place.line


@pytest.mark.parametrize("name", FILES)
def test_an_edit_changes_the_parts_around_it_and_no_others(tmp_path, name, small_parts):
    before = {tuple(said(item)) for item in transcripts_of(tmp_path, name, FILES[name])}
    edited = (
        FILES[name].replace("in turn 301,", "in turn 301, quite unexpectedly,").replace("\n301,|", "\n301,unexpected|")
    )
    assert edited != FILES[name]
    after = {tuple(said(item)) for item in transcripts_of(tmp_path, name, edited)}
    assert len(after - before) <= 2


def test_a_part_goes_on_with_the_speaker_of_the_one_before(tmp_path, small_parts):
    paragraphs = "".join(f"{words(n)}\n\n" for n in range(400))
    several = transcripts_of(tmp_path, "a.txt", text(90) + f"Ann Lee: {paragraphs}")
    assert len(several) > 2
    assert {turn.speaker for turn in several[-1].turns} == {"Ann Lee"}


def test_a_turn_of_100_000_words_is_cut_with_its_places(tmp_path):
    content = "Bob: Hi.\nAnn: " + " ".join(f"word{n}" for n in range(100_000)) + "\nBob: Ho.\nAnn: Well.\n"
    (transcript,) = transcripts_of(tmp_path, "a.txt", content)
    chunks = cut("d", transcript.turns)
    assert len(chunks) > 500
    at = 0
    for turn in (turn for chunk in chunks for turn in chunk.turns):
        assert content[turn.offset : turn.offset + len(turn.raw)] == turn.raw
        assert turn.offset >= at
        at = turn.offset + len(turn.raw)


def test_a_line_without_an_end_is_cut_between_words(small_parts):
    found = list(parts.parts(["word " * 10_000], "paragraphs"))
    assert "".join(part.text for part in found) == "word " * 10_000
    assert all(part.text.startswith("word") for part in found)
    solid = list(parts.parts(["x" * 50_000], "paragraphs"))
    assert [len(part.text) for part in solid] == [16_000, 16_000, 16_000, 2_000]
    assert solid[2] == Part("x" * 16_000, 32_000, 1)


def test_a_part_that_cannot_be_read_is_a_problem_with_its_line(tmp_path, small_parts):
    good = "".join(f"00:00:{n % 60:02},000 --> 00:00:{n % 60:02},900\n{words(n)}\n\n" for n in range(300))
    found = items_of(tmp_path, "a.srt", good + "no cue at all here\n\n" * 3000 + good)
    problems = [item for item in found if not isinstance(item, Transcript)]
    assert problems
    assert all("cue" in problem.reason and problem.line > 600 for problem in problems)
    assert isinstance(found[-1], Transcript)


def test_later_parts_of_broken_json_are_told_with_their_line(tmp_path, small_parts):
    from core_engine.errors import Unreadable

    broken = FILES["a.json"].replace('{"start": 800,', '\n{"start": 800 800,')
    with pytest.raises(Unreadable) as caught:
        list(read(written(tmp_path, "a.json", broken)).items)
    assert caught.value.line == 2


def test_the_last_part_never_comes_of_a_file_that_changed(tmp_path, small_parts):
    from core_engine.errors import Unreadable

    for name in ("a.txt", "a.json", "turns.jsonl"):
        source = written(tmp_path, name, FILES[name])
        mark = fingerprint(source)
        count = sum(1 for _ in read(source, mark).items)
        written(tmp_path, name, FILES[name].replace("turn 3", "TURN 3"))
        seen = []
        with pytest.raises(Unreadable, match="changed"):
            seen.extend(read(source, mark).items)
        assert len(seen) < count


def test_a_large_file_takes_no_more_memory_than_a_small_one(tmp_path):
    def peak(name: str, content: str, times: int) -> int:
        path = tmp_path / name
        with path.open("w", encoding="utf-8") as file:
            for _ in range(times):
                file.write(content)
        source = written(tmp_path, "none", "")
        source = type(source)(path, name, str(path))
        tracemalloc.start()
        try:
            assert sum(len(item.turns) for item in read(source).items) > 1000
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    for name, content in (("a.txt", text(3000)), ("a.jsonl", turn_lines(3000))):
        assert peak(name, content, 40) < 1.3 * peak(name, content, 12)
