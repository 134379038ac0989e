"""The gold of resolution: invented scenes of short conversations, and which names in them mean the same.

data/README.md describes the format. The test server answers from it, and tests and the benchmark measure by it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

GOLD = Path(__file__).parents[1] / "data" / "gold"
TUNING, HELD_OUT = GOLD / "resolution_tuning.jsonl", GOLD / "resolution_held_out.jsonl"


@dataclass(frozen=True, slots=True)
class Form:
    """A name as it is said in a document."""

    document: str
    name: str


@dataclass(frozen=True, slots=True)
class Someone:
    """A person or thing of a scene, with all forms of its name."""

    type: str
    forms: tuple[Form, ...]


@dataclass(frozen=True, slots=True)
class Scene:
    name: str
    turns: Mapping[str, Sequence[tuple[str, str]]]  # document → (speaker, words)
    entities: tuple[Someone, ...]

    def write(self, folder: Path) -> None:
        """The documents, as text files."""
        folder.mkdir(parents=True, exist_ok=True)
        for document, turns in self.turns.items():
            lines = [f"{speaker}: {words}" for speaker, words in turns]
            (folder / document).write_text("\n".join(lines) + "\n", encoding="utf-8")


def is_scene(record: Mapping[str, object]) -> bool:
    """Whether a line of a gold file is a scene, and not a document."""
    return "scene" in record


def scene_of(record: Mapping[str, object]) -> Scene:
    documents: list[dict] = record["documents"]  # type: ignore[assignment,type-arg]
    entities: list[dict] = record["entities"]  # type: ignore[assignment,type-arg]
    return Scene(
        str(record["scene"]),
        {each["document"]: [(speaker, words) for speaker, words in each["turns"]] for each in documents},
        tuple(
            Someone(
                each["type"],
                tuple(Form(document, name) for document, names in each["forms"].items() for name in names),
            )
            for each in entities
        ),
    )


def scenes(path: Path) -> Iterator[Scene]:
    for line in path.read_bytes().splitlines():
        yield scene_of(orjson.loads(line))
