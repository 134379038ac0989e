"""Extraction without a model: names by their capitals, decided with the casing of the whole workspace.

What this is: per chunk, `scan` notes rows of capitalised words and how each word is written; `mentions` then takes
for names those whose words the workspace does not also write in lower case. It finds names and says of few what they
are (speakers and honorifics: Person; a suffix: Organization; well-known ones: Place), else Entity. It knows English
function words, needs a script with capitals and a text that uses them, takes every noun of a German text for a name,
and does not understand a word. On gold sets its names reach an exact F1 of .86 (earnings calls) and .84 (Wikipedia), as
tests/benchmarks/bench_rules.py measures; with each of the calls as a workspace by itself it was .85.
"""

from __future__ import annotations

from collections.abc import Sequence

from core_engine.kg.rules.casing import Casing
from core_engine.kg.rules.cooccurrence import cooccurrences
from core_engine.kg.rules.kinds import PERSON, kind
from core_engine.kg.rules.names import Word, names, word
from core_engine.kg.rules.patterns import (
    CANDIDATE,
    CANDIDATE_IN_TOKENS,
    LOWER_WORD,
    SENTENCE_ENDS,
    SPELLED,
    UNCASED_LETTERS,
)
from core_engine.kg.rules.records import Candidate, RuleMention, Scan, dump, load
from core_engine.kg.rules.speakers import known_as
from core_engine.kg.rules.words import STOP
from core_engine.types import ChunkTurn

RULES_VERSION = 1
"""Rises whenever `scan` answers differently; what `mentions` decides from a scan may change without it."""

__all__ = ["RULES_VERSION", "Casing", "RuleMention", "cooccurrences", "mentions", "scan"]

_LONGEST = 200
"""Characters: what is longer is no name, but a table or an attack."""
_SHOUTED_WORDS = 10
_SHOUTED_SHARE = 0.6


def scan(turns: Sequence[ChunkTurn]) -> bytes:
    """What the chunk tells by itself, independent of any other: candidates, and how its words are written."""
    speakers: dict[str, list[int]] = {}
    candidates: list[Candidate] = []
    lower: set[str] = set()
    capital: set[str] = set()
    small = tall = shouted = uncased = cased = 0
    for number, turn in enumerate(turns, 1):
        if turn.speaker:
            speakers.setdefault(turn.speaker, []).append(number)
        text = turn.text
        found = _candidates(number, text)
        ordinary = LOWER_WORD.findall(text)
        capitals = [(known.base, opens) for row in found for known, opens in _capitals(row)]
        letters = sum(map(len, UNCASED_LETTERS.findall(text)))
        uncased += letters
        cased += len(text) - letters
        if _is_shouted(found, len(ordinary)):
            shouted += len(ordinary) + len(capitals)
            continue
        small += len(ordinary)
        tall += sum(base != "i" and not base.startswith("i'") for base, _ in capitals)
        lower.update(ordinary)
        capital.update(base for base, opens in capitals if not opens)
        candidates += found
    words = (sorted(lower - STOP), sorted(capital - STOP))
    return dump(Scan(list(speakers.items()), candidates, *words, small, tall, shouted, uncased, cased))


def mentions(scan: bytes, casing: Casing) -> list[RuleMention]:
    """The names of a scanned chunk in the light of the whole workspace, speakers first, then in the order of the text.

    The same scan and the same counts give the same mentions. Where `casing` is lower-cased or uncased, what comes
    back is little or rubbish: ask it first, and say so.
    """
    found = load(scan)
    people = {name for speaker, _ in found.speakers for name in known_as(speaker)}
    result = [RuleMention(name, PERSON, turn, -1, -1, True) for name, turns in found.speakers for turn in turns]
    for candidate in found.candidates:
        for start, end, honoured in names(candidate, casing):
            name = _as_name(candidate.text[start:end])
            person = honoured or (" " in name and casing.is_speaker(name))
            type_ = PERSON if person else kind(name, people)
            where = candidate.start
            result.append(RuleMention(name, type_, candidate.turn, where + start, where + end, False))
    return result


def _candidates(number: int, text: str) -> list[Candidate]:
    in_tokens = " ," in text or " ." in text
    return [
        Candidate(number, match.start(), _opens_sentence(text, match.start()), match.group())
        for match in (CANDIDATE_IN_TOKENS if in_tokens else CANDIDATE).finditer(text)
        if match.end() - match.start() <= _LONGEST
    ]


def _opens_sentence(text: str, start: int) -> bool:
    return SENTENCE_ENDS.search(text, max(0, start - 6), start) is not None


def _capitals(row: Candidate) -> list[tuple[Word, bool]]:
    """The capitalised words of a candidate, each with whether it begins a sentence."""
    known = map(word, row.text.split())
    return [(each, row.initial and i == 0) for i, each in enumerate(known) if not each.link and not each.number]


def _is_shouted(found: Sequence[Candidate], ordinary: int) -> bool:
    """A turn in capitals throughout: its capitals say nothing."""
    tokens = [token for row in found for token in row.text.split()]
    loud = sum(len(token) > 1 and token.isupper() for token in tokens)
    words = len(tokens) + ordinary
    return words >= _SHOUTED_WORDS and loud > _SHOUTED_SHARE * words


def _as_name(text: str) -> str:
    """One line, single spaces, a hyphen without spaces, and spelled letters ("L_C_D_") as an acronym."""
    tokens = (token.replace("_", "") if SPELLED.fullmatch(token) else token for token in text.split())
    return " ".join(tokens).replace(" - ", "-")
