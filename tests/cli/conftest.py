"""`kg` in a folder of its own, empty, or with a workspace that two meetings were processed into."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.kg import Kg, write_meetings


@pytest.fixture
def kg(tmp_path: Path) -> Kg:
    return Kg(tmp_path)


@pytest.fixture(scope="session")
def _processed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("processed")
    write_meetings(folder / "meetings", 2, turns=20)
    Kg(folder).process("meetings")
    # Gone from where they were read, so that their copies are the same documents, moved.
    (folder / "meetings").rename(folder / "kept")
    return folder


@pytest.fixture
def made(_processed: Path, tmp_path: Path) -> Kg:
    """The same workspace for each test, free to be changed."""
    shutil.copytree(_processed, tmp_path, dirs_exist_ok=True)
    (tmp_path / "kept").rename(tmp_path / "meetings")
    return Kg(tmp_path)
