"""Zip and tar archives: each file in them is a source of its own, and nothing in them is trusted."""

import contextlib
import gzip
import io
import os
import random
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from core_engine.errors import ReadError, Unreadable
from core_engine.readers import archives
from core_engine.readers.registry import Source, discover, fingerprint, read
from core_engine.types import Transcript
from tests.core_engine.readers.reading import said, source_of

TALK = b"Ann: Hello there.\nBob: Hi.\nAnn: Bye.\n"
ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz")


def packed(path: Path, members: Mapping[str, bytes]) -> Path:
    if path.name.endswith(".zip"):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in members.items():
                archive.writestr(name, data)
        return path
    with tarfile.open(path, "w:gz" if path.name.endswith("gz") else "w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def found_in(*paths: Path, exclude: tuple[str, ...] = ()) -> tuple[list[str], dict[str, str]]:
    """The names of the sources, and the faults by the file's name."""
    names, faults = [], {}
    for found in discover([str(path) for path in paths], exclude):
        if isinstance(found, Source):
            names.append(found.name)
        else:
            faults[Path(found.path).name] = found.reason
    return names, faults


@pytest.mark.parametrize("ending", ENDINGS)
def test_each_file_is_read_where_it_lies(tmp_path, ending):
    talks = {
        "a.txt": TALK,
        "deep/er/b.vtt": b"WEBVTT\n\n00:01.000 --> 00:02.000\nAnn: Hi.\n",
        "c.txt.gz": gzip.compress(TALK),
    }
    packed(tmp_path / f"talks{ending}", talks)
    seen = {}
    for source in discover([str(tmp_path)]):
        assert isinstance(source, Source)
        mark = fingerprint(source)
        seen[source.name] = [(item.record, len(item.turns)) for item in read(source, mark).items]
    assert seen == {f"talks{ending}/{name}": [("", 1 if "b.vtt" in name else 3)] for name in talks}
    assert [path.name for path in tmp_path.rglob("*")] == [f"talks{ending}"]


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_source_can_be_read_again_and_out_of_order(tmp_path, ending):
    path = packed(tmp_path / f"talks{ending}", {f"{n}.txt": TALK.replace(b"there", b"%d" % n) for n in range(5)})
    sources = list(discover([str(path)]))
    for number in (3, 0, 4, 4, 1):
        (transcript,) = read(sources[number], fingerprint(sources[number])).items
        assert said(transcript)[0] == ("Ann", f"Hello {number}.")


def test_a_file_in_an_archive_is_known_by_a_path_and_a_name_that_go_on_from_the_archives(tmp_path):
    (source,) = discover([str(packed(tmp_path / "talks.zip", {"in/a.txt": TALK}))])
    assert source.path == tmp_path / "talks.zip" / "in" / "a.txt"
    assert source.name == "talks.zip/in/a.txt"
    assert source.shown.endswith("talks.zip/in/a.txt")


def test_files_may_be_excluded_and_hidden_ones_are_left_out(tmp_path):
    members = dict.fromkeys(["a.txt", "b.txt", ".DS_Store", "__MACOSX/a.txt", ".git/x.txt"], TALK)
    for ending in ENDINGS:
        path = packed(tmp_path / f"t{ending}", members)
        assert found_in(path, exclude=("b.*",)) == ([f"t{ending}/a.txt"], {})


@pytest.mark.parametrize("ending", ENDINGS)
def test_names_that_lead_out_of_the_archive_are_told_and_not_read(tmp_path, ending):
    evil = ["/etc/passwd", "../up.txt", "a/../../b.txt", "C:/w.txt", "..\\w.txt", "x" * 1100 + ".txt"]
    names, faults = found_in(packed(tmp_path / f"t{ending}", dict.fromkeys([*evil, "good.txt"], TALK)))
    assert names == [f"t{ending}/good.txt"]
    assert len(faults) >= 4
    assert all("leads out of the archive" in reason or "too long" in reason for reason in faults.values())


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_empty_archive_and_one_within_another_are_told(tmp_path, ending):
    empty = packed(tmp_path / f"empty{ending}", {})
    assert found_in(empty) == ([], {f"empty{ending}": "an archive without files"})
    outer = packed(tmp_path / f"outer{ending}", {f"in{ending}": empty.read_bytes(), "a.txt": TALK})
    names, faults = found_in(outer)
    assert names == [f"outer{ending}/a.txt"]
    assert faults == {f"in{ending}": "an archive within an archive; unpack it first"}


def test_an_encrypted_file_is_told_and_the_others_are_read(tmp_path):
    path = packed(tmp_path / "t.zip", {"a.txt": TALK, "secret.txt": TALK})
    data = bytearray(path.read_bytes())
    # The flag of encryption, in the local header and in the directory, of the second file.
    data[data.rindex(b"PK\x03\x04") + 6] |= 1
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    names, faults = found_in(path)
    assert names == ["t.zip/a.txt"]
    assert faults == {"secret.txt": "encrypted; unpack it with its password first"}


def test_links_and_devices_in_a_tar_are_not_followed(tmp_path):
    path = tmp_path / "t.tar"
    with tarfile.open(path, "w") as archive:
        for name, kind in (("link", tarfile.SYMTYPE), ("hard", tarfile.LNKTYPE), ("zero", tarfile.CHRTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
    assert found_in(path) == (
        [],
        dict.fromkeys(["link", "hard", "zero"], "a link or device in an archive; not followed"),
    )


def test_a_second_file_of_the_same_name_is_told(tmp_path):
    path = tmp_path / "t.tar"
    with tarfile.open(path, "w") as archive:
        for _ in range(2):
            info = tarfile.TarInfo("a.txt")
            info.size = len(TALK)
            archive.addfile(info, io.BytesIO(TALK))
    names, faults = found_in(path)
    assert names == ["t.tar/a.txt"]
    assert "second file of this name" in faults["a.txt"]


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("damage", ["truncated", "noise", "nothing", "flipped"])
def test_a_broken_archive_gives_only_our_errors(tmp_path, ending, damage):
    dice = random.Random(7)
    whole = packed(tmp_path / f"t{ending}", {f"{n}.txt": TALK * 50 for n in range(3)}).read_bytes()
    if damage == "truncated":
        broken = [whole[: dice.randrange(len(whole))] for _ in range(20)]
    elif damage == "noise":
        broken = [dice.randbytes(3000), b"PK\x03\x04" + dice.randbytes(500)]
    elif damage == "nothing":
        broken = [b""]
    else:
        broken = []
        for _ in range(60):
            data = bytearray(whole)
            data[dice.randrange(len(data))] ^= dice.randrange(1, 256)
            broken.append(bytes(data))
    for data in broken:
        (tmp_path / f"t{ending}").write_bytes(data)
        for found in discover([str(tmp_path)]):
            if isinstance(found, Unreadable):
                continue
            with contextlib.suppress(ReadError):
                assert all(isinstance(item, Transcript) for item in read(found, fingerprint(found)).items)


def test_bombs_are_refused_in_bounded_memory(tmp_path):
    zeros = b"Ann: a a a a\n" * (1 << 20)
    bomb = tmp_path / "bomb.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        for n in range(25):
            archive.writestr(f"{n}.txt", zeros)
    assert "unpacks to more than 250 times" in found_in(bomb)[1]["bomb.zip"]
    bomb = tmp_path / "bomb.tar.gz"
    with tarfile.open(bomb, "w:gz") as archive:
        info = tarfile.TarInfo("a.txt")
        info.size = 25 * len(zeros)
        archive.addfile(info, _Repeated(zeros))
        info = tarfile.TarInfo("b.txt")
        archive.addfile(info)
    assert "unpacks to more than 250 times" in found_in(bomb)[1]["bomb.tar.gz"]


class _Repeated(io.RawIOBase):
    def __init__(self, data: bytes) -> None:
        super().__init__()
        self._data = data

    def read(self, size: int = -1) -> bytes:
        return (self._data * (size // len(self._data) + 1))[:size]


def test_a_size_that_a_directory_lies_about_does_not_help_a_bomb(tmp_path):
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.txt", b"a " * (100 << 20))
    data = bytearray(path.read_bytes())
    at = data.rindex(b"PK\x01\x02")
    data[at + 24 : at + 28] = (1000).to_bytes(4, "little")
    path.write_bytes(data)
    for source in discover([str(path)]):
        with pytest.raises(ReadError):
            list(read(source, fingerprint(source)).items)


def test_an_archive_of_too_many_files_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MOST_MEMBERS", 10)
    path = packed(tmp_path / "t.tar", {f"{n}.txt": TALK for n in range(12)})
    assert "more than 10 files" in found_in(path)[1]["t.tar"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read every file")
def test_a_forbidden_archive_is_told(tmp_path):
    path = packed(tmp_path / "t.zip", {"a.txt": TALK})
    path.chmod(0)
    assert found_in(path) == ([], {"t.zip": "permission denied"})


def test_a_zip_that_was_never_looked_into_is_told_by_what_it_is(tmp_path):
    path = packed(tmp_path / "t.zip", {"a.txt": TALK}).rename(tmp_path / "a.txt")
    with pytest.raises(Unreadable, match="binary file"):
        read(source_of(path))


def test_an_archive_of_many_files_is_read_in_linear_time(tmp_path):
    for ending in (".zip", ".tar.gz"):
        path = packed(tmp_path / f"t{ending}", {f"{n:05}.txt": TALK for n in range(3000)})
        assert sum(len(list(read(source, fingerprint(source)).items)) for source in discover([str(path)])) == 3000
