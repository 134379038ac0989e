"""A run's page, report.html, in the folder of its report: at the run's end, and later from the ledger."""

from __future__ import annotations

import logging
import os
import sqlite3
from pathlib import Path
from typing import Any

from core_engine.settings import Settings

log = logging.getLogger("kg")

PAGE, GRAPH = "report.html", "graph.html"


def page_of(db: sqlite3.Connection, report: dict[str, Any], settings: Settings, folder: Path) -> str:
    """The page's text, to be written into this folder: it links to what lies there."""
    from metrics.page import Link, page  # Jinja2 and the plots: a fifth of a second that only who draws a page pays
    from metrics.trace import traced

    names = (("report.json", "report.json"), ("report.md", "report.md"), ("run.log", "log"), (GRAPH, "graph"))
    links = [Link(said, name) for name, said in names if (folder / name).is_file()]
    run_log = Path(settings.log_file) if settings.log_file else folder / "run.log"
    beside = run_log.name if run_log.parent == folder and run_log.is_file() else None
    return page(report, traced(db, report["run_id"]), log=beside, links=links)


def draw(db: sqlite3.Connection, report: dict[str, Any], settings: Settings, folder: Path) -> Path | None:
    """Write report.html, for its owner alone. None where it could not be drawn: the run is done all the same."""
    try:
        text = page_of(db, report, settings, folder)
        descriptor = os.open(folder / PAGE, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode("utf-8", "replace"))
    except Exception:
        log.exception("%s could not be drawn; report.md and report.json are whole", folder / PAGE)
        return None
    return folder / PAGE
