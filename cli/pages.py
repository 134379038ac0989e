"""A run's page, report.html, in the folder of its report: at the run's end, and later from the ledger."""

from __future__ import annotations

import logging
import os
import sqlite3
from pathlib import Path
from typing import Any

from cli.files import write_file
from core_engine.settings import Settings
from kg_batch import __version__

log = logging.getLogger("kg")

PAGE, GRAPH = "report.html", "graph.html"
_ENTITIES = 2_000  # as in `kg view`


def page_of(db: sqlite3.Connection, report: dict[str, Any], settings: Settings, folder: Path) -> str:
    """The page's text, to be written into this folder: it links to what lies there."""
    from metrics.pages.page import page  # with Jinja2 and the plots, which only who draws a page pays for
    from metrics.pages.parts import Link
    from metrics.trace import traced

    names = (("report.json", "report.json"), ("report.md", "report.md"), ("run.log", "log"), (GRAPH, "graph"))
    links = [Link(said, name) for name, said in names if (folder / name).is_file()]
    run_log = Path(settings.log_file) if settings.log_file else folder / "run.log"
    beside = run_log.name if run_log.parent == folder and run_log.is_file() else None
    text = page(report, traced(db, report["run_id"]), log=beside, links=links)
    return text.encode("utf-8", "replace").decode()  # names of files may hold what is no Unicode


def draw(db: sqlite3.Connection, report: dict[str, Any], settings: Settings, folder: Path) -> Path | None:
    """Write report.html, for its owner alone. None where it could not be drawn: the run is done all the same."""
    try:
        text = page_of(db, report, settings, folder)
        descriptor = os.open(folder / PAGE, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode())
    except Exception:
        log.exception("%s could not be drawn; report.md and report.json are whole", folder / PAGE)
        return None
    return folder / PAGE


def written(
    db: sqlite3.Connection, report: dict[str, Any], settings: Settings, to: str | None, *, graph: bool = False
) -> Path:
    """Write the page of a run that is over, or goes on, where its user wants it. The path."""
    folder = settings.run_folder(report["run_id"])
    path = Path(to) if to else folder / PAGE
    if graph:
        _draw_graph(db, report["run_id"], path.parent)
    write_file(path, page_of(db, report, settings, path.parent))
    return path


def _draw_graph(db: sqlite3.Connection, run: str, folder: Path) -> None:
    from core_engine.view import graph as graphs
    from core_engine.view.page import page

    found = graphs.found_by(db, run, _ENTITIES)
    if found.nodes:
        write_file(folder / GRAPH, page(found, f"Found by run {run}", __version__))
