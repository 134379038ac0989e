"""What the model is asked: the static system prompt, and the chunks of one batch rendered as text."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from core_engine.errors import SettingsError
from core_engine.identity import short_hash
from core_engine.kg.ontology import Ontology
from core_engine.kg.reply import LONGEST_NAME
from core_engine.types import Chunk

PROMPTS = Path(__file__).parent / "prompts"
PLACEHOLDER = "<<ONTOLOGY>>"
_OURS = re.compile(r"extract\.v\d+")

_STRINGS: Final = {"type": "array", "items": {"type": "array", "items": {"type": "string"}}}

# Rows of strings only: OpenAI's strict mode refuses `prefixItems`, and other providers refuse length limits.
REPLY_SCHEMA: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {
        "chunks": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"c": {"type": "integer"}, "e": _STRINGS, "r": _STRINGS},
                "required": ["c", "e", "r"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["chunks"],
    "additionalProperties": False,
}

RESPONSE_FORMATS: Final[Mapping[str, dict[str, Any] | None]] = {
    "json_schema": {
        "type": "json_schema",
        "json_schema": {"name": "extraction", "strict": True, "schema": REPLY_SCHEMA},
    },
    "json_object": {"type": "json_object"},
    "text": None,
}
"""`response_format` by name, strictest first: the order in which to step down. None: leave it out of the request."""

_CONTROL = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")
_SURROGATE = re.compile(r"[\ud800-\udfff]")


class ExtractionPrompt:
    """The prompt of one version with one ontology.

    `system` is the same for every batch, so that providers bill it at the cached price; `version` is what questions are
    known by, `name` what people call it; `spec_text` is all of the prompt that belongs to a question's key.
    """

    def __init__(
        self, ontology: Ontology, name: str = "extract", version: str = "v2", *, folder: Path = PROMPTS
    ) -> None:
        self.version = f"{name}.{version}"
        self.name = self.version
        self.system = _system(folder / f"{self.version}.md", ontology)

    @classmethod
    def named(cls, name: str, ontology: Ontology) -> ExtractionPrompt:
        """The prompt in a file, or one of ours by its name (extract.v2). Raises SettingsError where it is no prompt.

        One from a file is known by what it says: a file may be renamed, and nothing is asked again.
        """
        ours = our_prompts()
        if _OURS.fullmatch(name) and not Path(name).exists():
            if name not in ours:
                raise SettingsError(f"there is no prompt {name!r}: name a file, or one of {', '.join(ours)}")
            return cls(ontology, *name.split("."))
        prompt = cls.__new__(cls)
        prompt.system = _system(Path(name), ontology)
        for known in ours:  # a copy of one of ours asks nothing new
            same = cls(ontology, *known.split("."))
            if same.system == prompt.system:
                return same
        prompt.name = Path(name).stem
        prompt.version = f"own.{prompt.hash}"
        return prompt

    @property
    def static_text(self) -> str:
        """All that comes with every request, and is billed with it: the system prompt, and the reply's schema."""
        return self.system + json.dumps(RESPONSE_FORMATS["json_schema"], separators=(",", ":"))

    @property
    def hash(self) -> str:
        """Twelve hexadecimal digits that are another's as soon as a letter of the prompt, or of the ontology, is."""
        return short_hash(self.system)

    @property
    def spec_text(self) -> str:
        return self.system

    def render(self, chunks: Sequence[Chunk], with_context: Sequence[bool]) -> str:
        """The user message for a batch; the reply numbers the chunks from 1 in this order.

        `with_context[i]` says whether the turns before chunk i are shown, because they aren't in the batch.
        """
        labels = _Labels()
        blocks = [
            _chunk_block(number, chunk, labels, shown)
            for number, (chunk, shown) in enumerate(zip(chunks, with_context, strict=True), 1)
        ]
        return "\n\n".join([*labels.block(), *blocks])


class _Labels:
    """The short labels of a batch's speakers, given out in order of first appearance."""

    def __init__(self) -> None:
        self._by_name: dict[str, str] = {}
        self._by_speaker: dict[str | None, str] = {None: ""}

    def of(self, speaker: str | None) -> str:
        """'' for a speaker who has no name."""
        label = self._by_speaker.get(speaker)
        if label is None:
            name = one_line(speaker or "")[:LONGEST_NAME].rstrip()
            label = self._by_name.setdefault(name, _label(len(self._by_name))) if name else ""
            self._by_speaker[speaker] = label
        return label

    def block(self) -> list[str]:
        if not self._by_name:
            return []
        return ["\n".join(["SPEAKERS", *(f"{label} {name}" for name, label in self._by_name.items())])]


def _label(index: int) -> str:
    """0 is A, 25 is Z, 26 is AA, as columns of a spreadsheet."""
    label = ""
    index += 1
    while index:
        index, letter = divmod(index - 1, 26)
        label = chr(65 + letter) + label
    return label


def _chunk_block(number: int, chunk: Chunk, labels: _Labels, with_context: bool) -> str:
    lines = [f"CHUNK {number}"]
    if with_context:
        for speaker, text in chunk.context:
            label = labels.of(speaker)
            lines.append(f"~ {label}: {one_line(text)}" if label else f"~ {one_line(text)}")
    for number_of_turn, turn in enumerate(chunk.turns, 1):
        if turn.text:
            label = labels.of(turn.speaker)
            who = f"{number_of_turn} {label}" if label else str(number_of_turn)
            lines.append(f"{who}: {one_line(turn.text)}")
    return "\n".join(lines)


def one_line(text: str) -> str:
    """The text on one line, so that no transcript can forge a line of the message."""
    if text.isprintable() and "  " not in text:
        return text.strip()
    # An unpaired surrogate can't be sent: there is no UTF-8 for it.
    return _SURROGATE.sub("\ufffd", _CONTROL.sub(" ", text)).strip()


def our_prompts() -> list[str]:
    """The names of the extraction prompts that come with kg, the oldest first."""
    return sorted(path.stem for path in PROMPTS.glob("extract.*.md"))


def _system(path: Path, ontology: Ontology) -> str:
    try:
        template = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: the prompt can't be read. Give the name of a prompt that exists.") from error
    if template.count(PLACEHOLDER) != 1:
        raise SettingsError(f"{path}: the prompt must hold {PLACEHOLDER} once, where the types go.")
    return template.replace(PLACEHOLDER, ontology.render()).strip()
