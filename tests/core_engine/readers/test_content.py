import gzip
import hashlib
import io
import os
import sys
import tracemalloc

import pytest

from core_engine.errors import Unreadable
from core_engine.readers import content
from core_engine.readers.registry import Fingerprint, Source, discover, fingerprint, read
from tests.core_engine.readers.reading import said, source_of, written

TALK = b"Ann: Hello.\nBob: Hi.\n"


def test_a_fingerprint_is_hash_and_size_of_the_bytes_on_disk(tmp_path):
    packed = gzip.compress(TALK)
    assert fingerprint(written(tmp_path, "a.gz", packed)) == Fingerprint(
        hashlib.sha256(packed).hexdigest(), len(packed)
    )


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz"])
def test_a_gzip_is_known_by_its_first_bytes_whatever_its_name(tmp_path, name):
    reading = read(written(tmp_path, name, gzip.compress(TALK)))
    assert reading.reason == "gzip; named .txt"
    (transcript,) = reading.items
    assert said(transcript) == [("Ann", "Hello."), ("Bob", "Hi.")]


@pytest.mark.parametrize("keep", [12, 20, -8, -1])
def test_a_truncated_gzip_is_told(tmp_path, keep):
    with pytest.raises(Unreadable, match="truncated gzip"):
        read(written(tmp_path, "a.txt.gz", gzip.compress(TALK * 100)[:keep]))


def test_a_broken_gzip_is_told(tmp_path):
    broken = bytearray(gzip.compress(os.urandom(3000)))
    broken[1500] ^= 255
    with pytest.raises(Unreadable, match="broken gzip"):
        read(written(tmp_path, "a.txt.gz", bytes(broken)))


@pytest.mark.parametrize("name", ["bomb.txt.gz", "bomb.jsonl.gz"])
def test_a_gzip_bomb_is_refused_in_bounded_memory(tmp_path, name):
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb") as bomb:
        for _ in range(300):
            bomb.write(b"a " * (1 << 19))
    source = written(tmp_path, name, packed.getvalue())
    tracemalloc.start()
    try:
        with pytest.raises(Unreadable, match="unpacks to more than"):
            list(read(source).items)
        assert tracemalloc.get_traced_memory()[1] < 3 * content.EXPANSION_FREE
    finally:
        tracemalloc.stop()


def test_a_file_beyond_the_limit_for_whole_files_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(content, "WHOLE_LIMIT", 1 << 20)
    page = b"<tt><body><p>Ann: " + b"word " * 900_000 + b"</p></body></tt>"
    with pytest.raises(Unreadable, match="larger than 1 MB unpacked, and this format has to be held whole"):
        read(written(tmp_path, "a.ttml", page))


def test_a_page_may_be_smaller_at_most_because_it_takes_more_memory(tmp_path):
    with pytest.raises(Unreadable, match="larger than 24 MB"):
        read(
            written(
                tmp_path, "a.html", b"<html><body><cite>Ann:</cite><p>" + b"word " * (6 << 20) + b"</p></body></html>"
            )
        )


@pytest.mark.parametrize("name", ["bomb.txt.gz", "bomb.tar.gz"])
def test_a_bomb_that_says_its_size_is_refused_before_a_word_is_read(tmp_path, name):
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb") as bomb:
        for _ in range(20):
            bomb.write(b"Ann: hi.\n" * (1 << 20))
    source = written(tmp_path, name, packed.getvalue())
    if name.endswith(".txt.gz"):
        with pytest.raises(Unreadable, match="unpacks to more than"):
            read(source)
    else:
        (found,) = discover([str(source.path)])
        assert isinstance(found, Unreadable)
        assert "unpacks to more than" in found.reason


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl"])
def test_a_file_that_changed_since_its_fingerprint_is_told(tmp_path, name):
    talk = b'{"speaker": "Ann", "text": "Hello."}\n' if name.endswith("l") else TALK
    source = written(tmp_path, name, talk)
    before = fingerprint(source)
    assert list(read(source, before).items)
    written(tmp_path, name, talk * 2)
    with pytest.raises(Unreadable, match="changed while it was read"):
        list(read(source, before).items)


def test_of_a_changed_json_lines_file_the_last_item_never_comes(tmp_path):
    lines = b"".join(b'{"id": "%d", "turns": [{"speaker": "A", "text": "Hi."}]}\n' % i for i in range(5))
    source = written(tmp_path, "a.jsonl", lines)
    before = fingerprint(source)
    written(tmp_path, "a.jsonl", lines.replace(b"Hi", b"Ho"))
    seen = []
    with pytest.raises(Unreadable, match="changed"):
        seen.extend(item.record for item in read(source, before).items)
    assert len(seen) < 5


def test_a_vanished_file_is_told(tmp_path):
    gone = source_of(tmp_path / "gone.txt")
    for door in (fingerprint, read):
        with pytest.raises(Unreadable, match="vanished"):
            door(gone)


def test_a_file_exchanged_for_a_pipe_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "a.txt")
    with pytest.raises(Unreadable, match="not a regular file"):
        read(source_of(tmp_path / "a.txt"))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read every file")
def test_a_forbidden_file_is_told(tmp_path):
    source = written(tmp_path, "a.txt", TALK)
    (tmp_path / "a.txt").chmod(0)
    with pytest.raises(Unreadable, match="permission denied"):
        fingerprint(source)


def test_standard_input_is_fingerprinted_and_then_read(monkeypatch):
    content._standard_input.cache_clear()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(TALK)))
    source = Source(None, "-", "")
    mark = fingerprint(source)
    reading = read(source, mark)
    (transcript,) = reading.items
    assert said(transcript) == [("Ann", "Hello."), ("Bob", "Hi.")]
    content._standard_input().close()
    content._standard_input.cache_clear()


def test_the_error_names_the_file_as_seen_from_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Unreadable) as caught:
        read(written(tmp_path, "a.txt", b""))
    assert str(caught.value) == "a.txt: empty file"
