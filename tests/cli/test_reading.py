"""What `kg process` makes of archives and side files, and that it reads again what they changed."""

from __future__ import annotations

import zipfile

import pytest

from tests.kg import Kg, meeting, write_meetings


@pytest.fixture
def archive(kg: Kg) -> Kg:
    with zipfile.ZipFile(kg.folder / "talks.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        for number in range(2):
            packed.writestr(f"in/m{number}.txt", "\n".join(meeting(number)) + "\n")
    return kg


def test_the_files_of_an_archive_are_documents_of_their_own_and_a_rerun_finds_them_unchanged(archive: Kg) -> None:
    first = archive.process("talks.zip")
    assert first["documents"]["new"] == 2
    assert first["chunks"]["written"] > 2
    again = archive.process("talks.zip")
    assert (again["documents"]["seen"], again["documents"]["new"], again["chunks"]["written"]) == (2, 0, 0)
    names = archive.ledger().execute("SELECT name FROM document ORDER BY name").fetchall()
    assert names == [("talks.zip/in/m0.txt",), ("talks.zip/in/m1.txt",)]


def test_a_changed_side_file_leads_to_another_reading(kg: Kg) -> None:
    write_meetings(kg.folder / "in", 2)
    assert kg.process("in")["documents"]["new"] == 2
    (kg.folder / "in" / "m0.meta.toml").write_text('title = "Board"\n[speakers]\n"Ann Lee" = "Anna Lee"\n')
    report = kg.process("in")
    assert report["documents"]["changed"] == 1
    assert report["documents"]["skipped"] == 1
    titles = kg.ledger().execute("SELECT name, title FROM document ORDER BY name").fetchall()
    assert titles == [("m0.txt", "Board"), ("m1.txt", "m1")]
    assert kg.process("in")["documents"]["changed"] == 0


def test_a_broken_side_file_is_a_warning_and_the_transcript_is_read(kg: Kg) -> None:
    write_meetings(kg.folder / "in", 1)
    (kg.folder / "in" / "speakers.toml").write_text('a = "b"\noops\n')
    ran = kg("process", "in")
    assert ran.code == 0
    assert "speakers.toml:2: broken TOML" in ran.out + ran.err


def test_an_empty_archive_is_unreadable_and_the_run_goes_on(archive: Kg) -> None:
    with zipfile.ZipFile(archive.folder / "empty.zip", "w"):
        pass
    report = archive.process("talks.zip", "empty.zip", code=2)
    assert report["documents"]["new"] == 2
    assert report["documents"]["unreadable"] == 1
