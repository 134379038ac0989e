"""The parts of a person's name, and which names can't be one person's."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from core_engine.kg.normalise import normal_form, word_set
from core_engine.kg.resolver.nicknames import related
from core_engine.kg.resolver.spelling import plain
from core_engine.kg.scope import is_role_label

# Before a name, these leave the surname: "Senator Whitlock", and "Mr. Hart", whose title the normal form has lost.
_HONORIFICS: Final = word_set(
    "mr mrs ms miss mx dr prof professor sir madam madame herr frau monsieur señor señora mme"
)
_TITLES: Final = _HONORIFICS | word_set("""
    admiral advocate ambassador archbishop baron baroness bishop brother cardinal chancellor chief colonel commissioner
    congressman congresswoman councillor councilor count countess dame dean deputy detective director duchess duke
    emperor father general governor inspector judge justice king lady lieutenant lord major mayor minister officer
    pastor president prince princess principal queen rabbi rector representative secretary senator sergeant sheriff
    sister superintendent captain coach chairman chairwoman chairperson chair
""")
_PARTICLES: Final = word_set("de del della di da do dos du des van von den der la le el al bin ibn ben st ter ten zu")
_GENERATIONS: Final = {"jr": "jr", "junior": "jr", "sr": "sr", "senior": "sr", "ii": "ii", "iii": "iii"}


@dataclass(frozen=True, slots=True)
class PersonName:
    """A name in parts, all in plain lower case. `given` may be an initial; '' where a part isn't there.

    A name of one word is `lone`: nobody knows whether it is given name or surname, unless a title stands before it.
    `title` is an office ("senator"), not a form of address ("Mr."); it may be all that is said.
    """

    given: str = ""
    middle: tuple[str, ...] = ()
    surname: str = ""
    lone: str = ""
    generation: str = ""
    title: str = ""

    @property
    def full(self) -> bool:
        """Given name and surname, so that it tells one person from another."""
        return len(self.given) > 1 and len(self.surname) > 1


@lru_cache(maxsize=8_192)
def person_name(said: str) -> PersonName | None:
    """The parts of a name as it was said; None for what is no name ("Speaker 3", "Project Manager")."""
    if not said.strip() or is_role_label(normal_form(said)):
        return None
    spelled = "".join(char if char.isalnum() or char in " -'’" else " " for char in said)  # noqa: RUF001  apostrophes stand in names
    words = [plain(normal_form(word)) or plain(word) for word in spelled.split()]
    words = [word for word in words if word]
    titled, title = False, ""
    while words and words[0] in _TITLES and (len(words) > 1 or words[0] not in _HONORIFICS):
        titled = True
        title = title or ("" if words[0] in _HONORIFICS else words[0])
        words.pop(0)
    generation = ""
    while len(words) > 1 and words[-1] in _GENERATIONS:
        generation = _GENERATIONS[words.pop()]
    if not words:
        return PersonName(title=title) if title else None
    if len(words) > 1 and words[0] in _PARTICLES:
        titled = True
    if len(words) == 1 or (titled and words[0] in _PARTICLES):
        surname = " ".join(words) if titled else ""
        return PersonName("", (), surname, "" if titled else words[0], generation, title)
    return _in_parts(said, words, generation, title)


def _in_parts(said: str, words: list[str], generation: str, title: str) -> PersonName:
    given, *middle, surname = words
    while middle and middle[-1] in _PARTICLES:
        surname = f"{middle.pop()} {surname}"
    if len(given) <= 3 and given.isalpha() and f"{given.upper()} " in said and len(given) > 1 and said != said.upper():
        # "JT Mercer": initials run together.
        given, middle = given[0], [*given[1:], *middle]
    return PersonName(given, tuple(middle), surname, "", generation, title)


def same_given(one: str, other: str) -> bool:
    """Equal, a nickname, an initial, or the first half of a double name: "wei" and "wei lin"."""
    if len(one) == 1 or len(other) == 1:
        return one[:1] == other[:1]
    return related(one, other) or one.split(maxsplit=1)[0] == other or other.split(maxsplit=1)[0] == one


def same_surname(one: str, other: str) -> bool:
    """Equal, with particles or without ("de Wit", "Wit")."""
    return one == other or one.rsplit(maxsplit=1)[-1] == other or other.rsplit(maxsplit=1)[-1] == one


def compatible(one: PersonName, other: PersonName) -> bool:
    """Whether both can be one full name, said more or less fully."""
    if one.generation != other.generation or not same_surname(one.surname, other.surname):
        return False
    if not same_given(one.given, other.given):
        return False
    return all(
        a == b or (min(len(a), len(b)) == 1 and a[0] == b[0]) for a, b in zip(one.middle, other.middle, strict=False)
    )


def clash(one: PersonName | None, other: PersonName | None) -> bool:
    """Whether these are the names of two persons, as far as names can tell: two full names that don't go together."""
    return bool(one and other and one.full and other.full) and not compatible(one, other)  # type: ignore[arg-type]
