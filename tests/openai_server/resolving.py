"""Answers about pairs of names: whether they mean the same, from the gold of scenes; without it, that nobody can tell.

The server knows who is meant as a reader does: by the words in which a name stands.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from tests.openai_server.gold import words
from tests.scenes import Scene

_ADDRESSES = frozenset(("mr", "mrs", "ms", "dr", "prof", "professor", "madame", "madam", "sir"))
_PAIR = re.compile(r"^PAIR (\d+)$")
_SIDE = re.compile(r"^([AB]): (.*)$")
_QUOTE = re.compile(r"^ +(?:(.*?): )?\"(.*)\"$")


@dataclass(frozen=True, slots=True)
class AskedName:
    """One side of a pair: the name, and the words in which it was said, with their speakers."""

    name: str
    quotes: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class AskedPair:
    number: int
    one: AskedName
    other: AskedName

    @property
    def text(self) -> str:
        """Both names, in the order of the alphabet: by it a fault finds the pair."""
        return " | ".join(sorted((self.one.name, self.other.name)))


def read_pairs(message: str) -> tuple[AskedPair, ...]:
    """The pairs that a message asks about; none if it is another kind of message."""
    found: list[AskedPair] = []
    for block in message.strip().split("\n\n"):
        lines = block.split("\n")
        head = _PAIR.match(lines[0])
        if head is None:
            return ()
        sides: dict[str, tuple[str, list[tuple[str, str]]]] = {}
        at = ""
        for line in lines[1:]:
            if side := _SIDE.match(line):
                at = side[1]
                sides[at] = (side[2].split(" | ")[0], [])
            elif (quote := _QUOTE.match(line)) and at:
                sides[at][1].append((quote[1] or "", quote[2]))
        if sides.keys() != {"A", "B"}:
            return ()
        one, other = (AskedName(sides[s][0], tuple(sides[s][1])) for s in "AB")
        found.append(AskedPair(int(head[1]), one, other))
    return tuple(found)


class Pairs:
    """Knows who is who in the scenes."""

    def __init__(self, known: Iterable[Scene] = ()) -> None:
        self._by_name: dict[tuple[str, ...], set[tuple[str, int]]] = defaultdict(set)
        self._turns: dict[str, dict[str, list[tuple[str, tuple[str, ...]]]]] = {}
        self._forms: dict[tuple[str, int], set[tuple[str, tuple[str, ...]]]] = {}
        for scene in known:
            self._turns[scene.name] = {
                document: [(speaker, words(said)) for speaker, said in turns] for document, turns in scene.turns.items()
            }
            for at, entity in enumerate(scene.entities):
                forms = {(form.document, words(form.name)) for form in entity.forms}
                self._forms[scene.name, at] = forms
                for _, name in forms:
                    self._by_name[_bare(name)].add((scene.name, at))

    def verdict(self, pair: AskedPair) -> str:
        one, other = self._meant(pair.one), self._meant(pair.other)
        if not one or not other:
            return "unsure"
        if len(one | other) == 1:
            return "same"
        return "unsure" if one & other else "different"

    def _meant(self, asked: AskedName) -> set[tuple[str, int]]:
        """Who may be meant: of those who bear the name, those of whom a quote speaks."""
        name = _bare(words(asked.name))
        bearers = self._by_name.get(name, set())
        if len(bearers) < 2:
            return bearers
        return {who for who in bearers if any(self._said(who, name, *quote) for quote in asked.quotes)} or bearers

    def _said(self, who: tuple[str, int], name: tuple[str, ...], speaker: str, quote: str) -> bool:
        said = words(quote.strip("…"))
        documents = {document for document, form in self._forms[who] if _bare(form) == name}
        return any(
            (not speaker or speaker == by) and _within(said, turn)
            for document in documents
            for by, turn in self._turns[who[0]][document]
        )


def _bare(name: tuple[str, ...]) -> tuple[str, ...]:
    """Without the form of address, which kg takes off."""
    return name[1:] if len(name) > 1 and name[0] in _ADDRESSES else name


def _within(some: tuple[str, ...], words_: tuple[str, ...]) -> bool:
    return any(words_[at : at + len(some)] == some for at in range(len(words_) - len(some) + 1))
