"""Takes words out of the reports and logs that runs have left."""

from __future__ import annotations

import contextlib
import glob
import html
import json
import os
import re
import sqlite3
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

import orjson

from core_engine.settings import Settings
from core_engine.view.page import in_script
from metrics.render import cell as markdown

REPLACEMENT = "(forgotten)"
_SHORTEST = 3  # letters: a title of one letter is in half of all words
_FILES = ("report.json", "report.md", "report.html", "graph.html", "run.log")
_STRING = re.compile(r'("[^"\\]*(?:\\.[^"\\]*)*")(\s*:)?', re.DOTALL)  # of JSON; with a colon behind it, a field's name
_NO_WORDS = re.compile(r"<style>.*?</style>|<[^>]*>", re.DOTALL)  # of a page


def pattern_of(words: Iterable[str]) -> re.Pattern[str] | None:
    """Finds the words as a whole, in any case, as they are and as JSON, HTML and Markdown write them.

    None where none can be looked for.
    """
    forms = set()
    for word in words:
        if len(word) >= _SHORTEST:
            printable = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in word)
            forms |= {word, printable}
            forms |= {json.dumps(form)[1:-1] for form in (word, printable)}
            forms |= {json.dumps(form, ensure_ascii=False)[1:-1] for form in (word, printable)}
            forms |= {_in_html(form) for form in (word, printable)}
            forms |= {markdown(form) for form in (word, printable)}
    forms |= {in_script(form) for form in forms}
    if not forms:
        return None
    choices = "|".join(map(re.escape, sorted(forms, key=len, reverse=True)))
    return re.compile(rf"(?<![\w/\\.-])(?:{choices})(?!\w)", re.IGNORECASE)


def _in_html(text: str) -> str:
    """As Jinja2 escapes it."""
    return html.escape(text).replace("&quot;", "&#34;").replace("&#x27;", "&#39;")


def scrub_ledger(db: sqlite3.Connection, pattern: re.Pattern[str]) -> int:
    """Replace what is found in the reports and notes of the ledger; how many rows changed."""
    changed = 0
    for table, key, column in (("run", "id", "report"), ("source", "path", "reason"), ("question", "no", "reason")):
        for name, text in db.execute(f"SELECT {key}, {column} FROM {table} WHERE {column} > ''").fetchall():
            scrubbed = in_strings(text, pattern) if column == "report" else pattern.sub(REPLACEMENT, text)
            if scrubbed != text:
                db.execute(f"UPDATE {table} SET {column} = ? WHERE {key} = ?", (scrubbed, name))
                changed += 1
    return changed


def scrub_files(settings: Settings, db: sqlite3.Connection, pattern: re.Pattern[str]) -> tuple[int, list[str]]:
    """Replace what is found in the files of all runs; how many changed, and those that could not be."""
    changed, failed = 0, []
    for path in sorted(set(_files(settings, db))):
        try:
            changed += _scrub(path, pattern)
        except OSError as error:
            failed.append(f"{path}: {error.strerror or error}")
    return changed, failed


def _files(settings: Settings, db: sqlite3.Connection) -> Iterator[Path]:
    for path in (settings.folder / "runs").glob("*/*"):
        if path.name in _FILES:
            yield path
    for run, said in db.execute("SELECT id, settings FROM run"):
        then = orjson.loads(said)
        if then.get("output_dir"):
            yield from (Path(then["output_dir"]) / run / name for name in _FILES)
        if then.get("log_file"):
            log = Path(then["log_file"])
            yield log
            yield from log.parent.glob(f"{glob.escape(log.name)}.????-??-??")  # of earlier days


def elsewhere(db: sqlite3.Connection) -> list[str]:
    """Where runs were told to write by paths that lead nowhere from here."""
    said = [orjson.loads(settings) for (settings,) in db.execute("SELECT settings FROM run")]
    paths = {path for then in said for name in ("output_dir", "log_file") if (path := then.get(name))}
    return sorted(path for path in paths if not Path(path).is_absolute() and not Path(path).exists())


def _scrub(path: Path, pattern: re.Pattern[str]) -> bool:
    if not path.is_file():
        return False
    text = path.read_bytes().decode("utf-8", "surrogateescape")
    if path.name == "graph.html":  # nothing but names and words: `kg report --graph` makes it again
        if pattern.search(text):
            path.unlink()
            return True
        return False
    if path.suffix == ".html":
        scrubbed = _in_words(text, pattern)
    elif path.suffix == ".md":
        scrubbed = pattern.sub(REPLACEMENT, text)
    else:
        scrubbed = in_strings(text, pattern)
    if scrubbed == text:
        return False
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(scrubbed.encode("utf-8", "surrogateescape"))
        draft.replace(path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            draft.unlink()
    return True


def in_strings(text: str, pattern: re.Pattern[str]) -> str:
    """JSON, or lines of it, with the words replaced in its texts: a document may be called as a field is, or by a number."""
    return _STRING.sub(lambda held: held[0] if held[2] else pattern.sub(REPLACEMENT, held[1]), text)


def _in_words(page: str, pattern: re.Pattern[str]) -> str:
    """The page with the words replaced where it shows words: somebody may be called as a class of its style is."""
    parts: list[str] = []
    at = 0
    for markup in _NO_WORDS.finditer(page):
        parts += (pattern.sub(REPLACEMENT, page[at : markup.start()]), markup[0])
        at = markup.end()
    return "".join([*parts, pattern.sub(REPLACEMENT, page[at:])])
