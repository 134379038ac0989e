"""What is known about a transcript beside its words: from side files, the file itself, its name and its folder.

Where several say the same thing, the nearest counts: a side file of its own, then the file, then the folder's side
file, then the file's name, then the folder's name.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from pathlib import PurePosixPath
from typing import Any

from core_engine.readers.languages import language_code
from core_engine.readers.side_files import FOLDER, SPEAKERS, SideFile, side_files, stem
from core_engine.readers.sources import Source
from core_engine.readers.speaker_names import label_key, named
from core_engine.types import Transcript

_DATE = re.compile(r"(?<!\d)((?:19|20)\d\d)([-_.]?)(0[1-9]|1[0-2])\2(0[1-9]|[12]\d|3[01])(?!\d)(?:T\d{4,6}Z?)?")
_LANGUAGE = re.compile(r"\.([a-z]{2})(?:-[A-Za-z]{2,4})?\Z")
_VIDEO_ID = re.compile(r"\s*\[[\w-]{6,15}\]\Z")
_EDGES = " ._-\u2013\u2014,()[]"

_DATE_KEYS = ("date", "recorded_at", "recorded", "meeting_date", "start_time", "published", "pubDate", "created_at")
_PEOPLE_KEYS = ("participants", "attendees", "speakers", "people")
_LANGUAGE_KEYS = ("language", "lang", "language_code", "locale")


@dataclass(frozen=True, slots=True)
class About:
    """What a source's surroundings say. `near` overrides what the file itself says, `far` gives way to it."""

    near: Mapping[str, str] = field(default_factory=dict)
    far: Mapping[str, str] = field(default_factory=dict)
    speakers: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def of(self, transcript: Transcript) -> Transcript:
        """The transcript with all that is known of it: title, metadata, and its speakers' real names."""
        metadata = {**self.far, **_standard(transcript.metadata), **self.near}
        title = self.near.get("title") or transcript.title or self.far.get("title")
        metadata.pop("title", None)
        return replace(transcript, turns=named(transcript.turns, self.speakers), title=title, metadata=metadata)


def about(source: Source) -> About:
    """All that is said about a source outside of it. What is wrong in a side file is a warning, and left out."""
    near: dict[str, str] = {}
    far = _named(source)
    speakers: dict[str, str] = {}
    warnings: list[str] = []
    for side in side_files(source):
        content = _parsed(side, warnings)
        if side.name == SPEAKERS:
            speakers |= _speakers(content, side, source, warnings)
        else:
            names = content.pop("speakers", {})
            own = {"speakers": names} if isinstance(names, dict) else {}
            if not own:
                content["participants"] = names
            speakers |= _names(own.get("speakers", {}), side, warnings)
            (far if side.name == FOLDER else near).update(_standard(_plain(content, side, warnings)))
    return About(near, far, speakers, tuple(warnings))


def _parsed(side: SideFile, warnings: list[str]) -> dict[str, Any]:
    try:
        return tomllib.loads(side.data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = side.data.count(b"\n", 0, error.start) + 1
        warnings.append(f"{side.shown}:{line}: not UTF-8; the file is left out")
    except tomllib.TOMLDecodeError as error:
        place = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)", str(error))
        line = int(place[1]) if place and place[1] else side.data.count(b"\n") + 1
        reason = str(error).replace(place[0], "") if place else str(error)
        warnings.append(f"{side.shown}:{line}: broken TOML: {reason}; the file is left out")
    return {}


def _speakers(content: dict[str, Any], side: SideFile, source: Source, warnings: list[str]) -> dict[str, str]:
    """The folder's names; a table named like the file holds those of that file alone."""
    file = PurePosixPath(source.name).name
    found = _names({key: value for key, value in content.items() if not isinstance(value, dict)}, side, warnings)
    for table in (stem(file), file):
        inner = content.get(table)
        found |= _names(inner, side, warnings) if isinstance(inner, dict) else {}
    return found


def _names(table: Mapping[str, Any], side: SideFile, warnings: list[str]) -> dict[str, str]:
    found = {}
    for label, name in table.items():
        if isinstance(name, str) and name.strip():
            found[label_key(label)] = " ".join(name.split())
        else:
            warnings.append(f"{side.shown}:{_line(side, label)}: the name of {label!r} is no text; left out")
    return found


def _plain(content: dict[str, Any], side: SideFile, warnings: list[str]) -> dict[str, str]:
    found = {}
    for key, value in content.items():
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            found[key] = ", ".join(value)
        elif isinstance(value, str | int | float | date):
            found[key] = value.isoformat() if isinstance(value, date) else str(value).strip()
        else:
            kind = "a table" if isinstance(value, dict) else "no plain value"
            warnings.append(f"{side.shown}:{_line(side, key)}: {key!r} is {kind}; left out")
    return {key: value for key, value in found.items() if value}


def _line(side: SideFile, key: str) -> int:
    """The line where a key stands, near enough for a message."""
    for number, line in enumerate(side.data.decode("utf-8", "replace").splitlines(), 1):
        if key in line:
            return number
    return 1


def _standard(metadata: Mapping[str, str]) -> dict[str, str]:
    """With `date` (ISO), `language` (a code) and `participants`, where the same is said under another name."""
    found = dict(metadata)
    for key in _DATE_KEYS:
        if iso := iso_date(metadata.get(key, "")):
            found["date"] = iso
            break
    for key in _LANGUAGE_KEYS:
        if code := language_code(metadata.get(key, "")):
            found["language"] = code
            break
    people = next((metadata[key] for key in _PEOPLE_KEYS if metadata.get(key)), None)
    if people:
        found["participants"] = people
    return found


def iso_date(text: str) -> str | None:
    """The day as YYYY-MM-DD (with its time where that is told), or None for what is no date beyond doubt."""
    text = text.strip()
    if len(text) > 40 or not re.match(r"\d{4}-?\d\d-?\d\d(?!\d)", text):
        return _written_out(text) if 8 <= len(text) <= 40 else None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if len(text) <= 10 or (moment.hour, moment.minute, moment.second) == (0, 0, 0):
        return moment.date().isoformat()
    return moment.isoformat(timespec="seconds")


def _written_out(text: str) -> str | None:
    """`March 3, 2026` and `3 March 2026`: in English, whatever the machine's locale."""
    match = re.fullmatch(
        r"(?:([A-Za-z]{3,9})\.? (\d{1,2})(?:st|nd|rd|th)?,?|(\d{1,2})\.? ([A-Za-z]{3,9})\.?,?) (\d{4})", text
    )
    if not match:
        return None
    month = "janfebmaraprmayjunjulaugsepoctnovdec".find((match[1] or match[4])[:3].lower())
    try:
        return date(int(match[5]), month // 3 + 1, int(match[2] or match[3])).isoformat() if month % 3 == 0 else None
    except ValueError:
        return None


def _named(source: Source) -> dict[str, str]:
    """Date, title and language as the names of the file and of its folder tell them."""
    if source.path is None:
        return {}
    name = stem(source.path.name)
    found: dict[str, str] = {}
    if (language := _LANGUAGE.search(name)) and (code := language_code(language[1])):
        found["language"] = code
        name = name[: language.start()]
    name = _VIDEO_ID.sub("", name)
    day = _day(name)
    rest = _DATE.sub("", name).strip(_EDGES)
    if " " in rest and (day or name != stem(source.path.name)):
        # Names with blanks were written for people: `Board meeting 2026-01-12`.
        found["title"] = " ".join(rest.split())
    day = day or _day(source.path.parent.name)
    return found | ({"date": day} if day else {})


def _day(name: str) -> str | None:
    match = _DATE.search(name)
    try:
        return date(int(match[1]), int(match[3]), int(match[4])).isoformat() if match else None
    except ValueError:
        return None
