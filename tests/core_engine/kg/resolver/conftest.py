from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from core_engine.ledger.ledger import Ledger
from tests.core_engine.kg.resolver.world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with Ledger(tmp_path / "ledger.sqlite3") as ledger:
        yield World(ledger)
