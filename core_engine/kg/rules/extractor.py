"""Extraction without a model: names by their capitals, decided with the casing of the whole workspace.

What this is: per chunk, `scan` notes rows of capitalised words, how each word is written, dates, amounts and other
values by their form, and roles beside which a name may stand; `read` then takes for names those rows whose words the
workspace does not also write in lower case. It says of few names what they are (speakers, honorifics, holders of a
role: Person; a suffix, or an officer's firm: Organization; well-known ones: Place), else Entity. It states a fact only
where the words leave no doubt ("our CFO, Ann Lee"). It knows English function words, needs a script with capitals and
a text that uses them, and does not understand a word. On gold sets its names reach an exact F1 of .86 (earnings calls)
and .84 (Wikipedia), as tests/benchmarks/bench_rules.py measures.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence

from core_engine.kg.rules.casing import Casing
from core_engine.kg.rules.facts import with_roles
from core_engine.kg.rules.kinds import ENTITY, PERSON, kind
from core_engine.kg.rules.names import Word, names, word
from core_engine.kg.rules.patterns import (
    CANDIDATE,
    CANDIDATE_IN_TOKENS,
    LOWER_WORD,
    SENTENCE_ENDS,
    SPELLED,
    UNCASED_LETTERS,
)
from core_engine.kg.rules.records import Candidate, Findings, Form, Role, RuleMention, Scan, dump, load
from core_engine.kg.rules.roles import LONGEST_ROLE, held
from core_engine.kg.rules.speakers import known_as
from core_engine.kg.rules.values import VALUES, Value, values
from core_engine.kg.rules.words import ENGLISH, GERMAN, STOP
from core_engine.types import ChunkTurn

RULES_VERSION = 2
"""Rises whenever `scan` answers differently; what `read` decides from a scan has a version of its own."""

READING_VERSION = 1
"""Rises whenever `read`, or what is made of it, decides differently: every chunk is then decided again."""

_LONGEST = 200
"""Characters: what is longer is no name, but a table or an attack."""
_SHOUTED_WORDS = 10
_SHOUTED_SHARE = 0.6
_GERMAN_WORDS = 3


def scan(turns: Sequence[ChunkTurn]) -> bytes:
    """What the chunk tells by itself, independent of any other: candidates, values, roles, how its words are written."""
    speakers: dict[str, list[int]] = {}
    candidates: list[Candidate] = []
    forms: list[Form] = []
    roles: list[Role] = []
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
        forms += [Form(number, value, text[value.start : value.end]) for value in values(text)]
        if _is_shouted(found, len(ordinary)):
            shouted += len(ordinary) + len(capitals)
            continue
        roles += [Role(role, text[role.start : role.end]) for role in held(number, text)]
        small += len(ordinary)
        tall += sum(base != "i" and not base.startswith("i'") for base, _ in capitals)
        lower.update(ordinary)
        capital.update(base for base, opens in capitals if not opens)
        candidates += found
    nouns = len(lower & GERMAN) >= max(_GERMAN_WORDS, len(lower & ENGLISH))
    words = (sorted(lower - STOP), sorted(capital - STOP))
    return dump(
        Scan(list(speakers.items()), candidates, *words, small, tall, shouted, uncased, cased, nouns, forms, roles)
    )


def read(scan: bytes, casing: Casing, *, nouns: bool = False) -> Findings:
    """What a scanned chunk says in the light of the whole workspace: speakers first, then names, values, roles.

    The same scan and the same counts give the same findings. With `nouns`, of a document in German, names are only
    those that something else than a capital tells. The rest of a document may know better who is a person: see
    `people`.
    """
    found = load(scan)
    speakers = [RuleMention(name, PERSON, turn, -1, -1, True) for name, turns in found.speakers for turn in turns]
    parts = frozenset(name for speaker, _ in found.speakers for name in known_as(speaker))
    named = [mention for row in found.candidates for mention in _named(row, casing, parts, found.roles)]
    if nouns:
        named = [mention for mention in named if mention.type != ENTITY or mention.name.isupper()]
    named, valued = _apart(named, found.forms, casing)
    return with_roles([*speakers, *named, *valued], found.roles, casing)


def people(findings: Iterable[Findings]) -> frozenset[str]:
    """The names by which these findings know persons, whole and in parts, case-folded."""
    known = {m.name for found in findings for m in found.mentions if m.type == PERSON}
    return frozenset(part for name in known for part in known_as(name))


def _named(row: Candidate, casing: Casing, speakers: frozenset[str], roles: Sequence[Role]) -> Iterable[RuleMention]:
    for first, last, honoured in names(row, casing):
        start, end = _without_roles(row, first, last, roles)
        name = _as_name(row.text[start:end])
        if not name:
            continue
        person = honoured or (" " in name and casing.is_speaker(name))
        type_ = PERSON if person else kind(name, speakers)
        yield RuleMention(name, type_, row.turn, row.start + start, row.start + end, False)


def _without_roles(row: Candidate, start: int, end: int, roles: Sequence[Role]) -> tuple[int, int]:
    """Of "Chief Financial Officer Ann Lee" the name alone, of "Ann Lee Vice President" as well."""
    first = bisect_left(roles, (row.turn, row.start - LONGEST_ROLE), key=_place)
    for at in range(first, bisect_left(roles, (row.turn, row.start + end), key=_place)):
        role = roles[at].held
        begins, ends, after = role.start - row.start, role.end - row.start, role.after - row.start
        if begins <= start < after < end:
            start = after
        if start < begins < end <= ends:
            end = begins
    return start, start + len(row.text[start:end].rstrip(" ,"))


def _place(role: Role) -> tuple[int, int]:
    return role.held.turn, role.held.start


def _apart(
    named: Sequence[RuleMention], forms: Sequence[Form], casing: Casing
) -> tuple[list[RuleMention], list[RuleMention]]:
    """Names and values that don't overlap: a value takes what is inside it, else the name stays ("World War II")."""
    valued: list[RuleMention] = []
    inside: set[int] = set()
    for turn, value, text in forms:
        if casing.is_speaker(text):  # April, June
            continue
        over = _overlapping(named, turn, value)
        if all(value.start <= named[i].start and named[i].end <= value.end for i in over):
            inside.update(over)
            valued.append(RuleMention(_as_name(text), VALUES[value.kind], turn, value.start, value.end, False))
    return [mention for i, mention in enumerate(named) if i not in inside], valued


def _overlapping(named: Sequence[RuleMention], turn: int, value: Value) -> range:
    """Which of the names, in the order of the text, share a character with the value."""
    last = first = bisect_left(named, (turn, value.end), key=lambda mention: (mention.turn, mention.start))
    while first and named[first - 1].turn == turn and named[first - 1].end > value.start:
        first -= 1
    return range(first, last)


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
