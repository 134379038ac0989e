import os
from pathlib import Path

import pytest

from core_engine.errors import Unreadable
from core_engine.readers.registry import Source, discover


def laid(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    return folder


def names(paths: list[str], exclude: tuple[str, ...] = ()) -> list[str]:
    return [found.name for found in discover(paths, exclude) if isinstance(found, Source)]


def faults(paths: list[str]) -> list[str]:
    return [found.reason for found in discover(paths) if isinstance(found, Unreadable)]


def test_a_folder_is_read_with_all_below_it_in_order(tmp_path):
    laid(tmp_path, "b.txt", "a/2.txt", "a/1.txt", "a/deep/er.txt")
    assert names([str(tmp_path)]) == ["a/1.txt", "a/2.txt", "a/deep/er.txt", "b.txt"]


def test_a_source_knows_its_path_its_name_and_its_root(tmp_path):
    laid(tmp_path, "a/1.txt")
    (in_folder,) = discover([str(tmp_path)])
    assert in_folder == Source(tmp_path / "a/1.txt", "a/1.txt", tmp_path.as_posix())
    (alone,) = discover([str(tmp_path / "a" / "1.txt")])
    assert alone == Source(tmp_path / "a/1.txt", "1.txt", (tmp_path / "a/1.txt").as_posix())


def test_hidden_files_and_folders_are_left_out_unless_named(tmp_path):
    laid(tmp_path, ".git/x.txt", ".hidden.txt", "seen.txt")
    assert names([str(tmp_path)]) == ["seen.txt"]
    assert names([str(tmp_path / ".hidden.txt")]) == [".hidden.txt"]


def test_the_same_file_is_found_once_however_often_it_is_reached(tmp_path):
    laid(tmp_path, "a.txt", "b.txt")
    (tmp_path / "z.txt").symlink_to(tmp_path / "a.txt")
    assert names([str(tmp_path / "b.txt"), str(tmp_path), str(tmp_path / "*.txt"), "-", "-"]) == ["b.txt", "a.txt", "-"]


def test_a_folder_that_contains_itself_is_told_and_not_followed(tmp_path):
    laid(tmp_path, "in/a.txt")
    (tmp_path / "in" / "again").symlink_to(tmp_path, target_is_directory=True)
    found = list(discover([str(tmp_path)]))
    assert [f.name for f in found if isinstance(f, Source)] == ["in/a.txt"]
    assert [f.reason for f in found if isinstance(f, Unreadable)] == ["a link to a folder above it; not followed"]


def test_a_glob_is_not_caught_by_a_folder_that_contains_itself(tmp_path):
    laid(tmp_path, "in/a.txt")
    (tmp_path / "in" / "again").symlink_to(tmp_path, target_is_directory=True)
    assert names([str(tmp_path / "**" / "*.txt")]) == ["in/a.txt"]


def test_links_to_themselves_and_to_nothing_are_told(tmp_path):
    (tmp_path / "self").symlink_to("self")
    (tmp_path / "gone").symlink_to("nowhere")
    assert faults([str(tmp_path)]) == ["a link that points to nothing", "a symlink loop"]


def test_a_linked_folder_elsewhere_is_followed(tmp_path):
    laid(tmp_path, "real/a.txt", "in/b.txt")
    (tmp_path / "in" / "link").symlink_to(tmp_path / "real", target_is_directory=True)
    assert names([str(tmp_path / "in")]) == ["b.txt", "link/a.txt"]


def test_pipes_and_devices_are_told_and_never_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert faults([str(tmp_path), "/dev/zero"]) == [
        "a named pipe, not a file; not opened",
        "a device, not a file; not opened",
    ]


def test_what_does_not_exist_is_told(tmp_path):
    assert faults([str(tmp_path / "no.txt")]) == ["no such file or folder"]
    assert faults([str(tmp_path / "*.no")]) == ["no file fits this pattern"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may enter every folder")
def test_a_folder_one_may_not_enter_is_told(tmp_path):
    closed = laid(tmp_path, "closed/a.txt") / "closed"
    closed.chmod(0)
    try:
        assert faults([str(tmp_path)]) == ["permission denied"]
    finally:
        closed.chmod(0o700)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.txt", ["a.txt"]),
        ("**/*.txt", ["a.txt", "in/b.txt", "in/deep/c.txt"]),
        ("in/*.txt", ["b.txt"]),
        ("*/*.t?t", ["in/b.txt"]),
        ("i[a-n]", ["in/b.txt", "in/deep/c.txt", "in/deep/d.vtt"]),
        ("**", ["a.txt", "in/b.txt", "in/deep/c.txt", "in/deep/d.vtt"]),
    ],
)
def test_globs_name_their_files_from_the_folder_before_the_first_wildcard(tmp_path, pattern, expected):
    laid(tmp_path, "a.txt", "in/b.txt", "in/deep/c.txt", "in/deep/d.vtt", ".hid/e.txt")
    assert names([str(tmp_path / pattern)]) == expected


def test_a_file_whose_name_looks_like_a_glob_is_that_file(tmp_path):
    laid(tmp_path, "a[1].txt", "a1.txt")
    assert names([str(tmp_path / "a[1].txt")]) == ["a[1].txt"]


@pytest.mark.parametrize(
    ("exclude", "expected"),
    [
        (("*.tsv",), ["a.txt", "old/b.txt", "old/deep/c.txt"]),
        (("old",), ["a.txt", "x.tsv"]),
        (("old/*.txt",), ["a.txt", "old/deep/c.txt", "x.tsv"]),
        (("old/**",), ["a.txt", "x.tsv"]),
        (("[!a]*",), ["a.txt"]),
        (("**/deep/", "x.*"), ["a.txt", "old/b.txt"]),
    ],
)
def test_exclusions_are_globs_on_the_relative_name(tmp_path, exclude, expected):
    laid(tmp_path, "a.txt", "x.tsv", "old/b.txt", "old/deep/c.txt")
    assert names([str(tmp_path)], exclude) == expected
