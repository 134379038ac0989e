"""Takes out of a turn what says nothing (markers, fillers, stutters) and keeps the way back to the words as read.

Characters are only ever deleted; the one substitution is a plain space, which stands for any run of white space and
of what was taken out. Everything is first blanked out in a copy of the same length, the *view*, so that offsets never
move; the result is built from the raw text in one pass at the end.
"""

# ruff: noqa: RUF001 - curly apostrophes and dashes stand in transcripts, and so in these patterns

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

CLEAN_VERSION = 1

# Blanks, all white space to `\s`. Two leave a space: what interrupts the speaker (a cut-off, a filler) and what only
# sounds beside the speech (laughter): the same words on both sides of an interruption are a stutter.
_BROKEN = "\x1e"
_ASIDE = "\x1f"
_JOIN = "\x1d"  # leaves nothing: the letters around it belong together
_QUOTED = "\uffff"

_BROKEN_MARKER = re.compile(r"\{disfmarker\}")
_HEARD = (
    r"laugh(?:s|ter|ing)?|chuckl(?:es?|ing)|giggl(?:es?|ing)|applause|inaudible|unintelligible|indiscernible|"
    r"cross ?talk|overtalk(?:ing)?|overlapping(?: speech)?|coughs?|coughing|sighs?|sighing|clears throat"
)
_SOUNDS = (
    rf"{_HEARD}|vocal ?sounds?|nonvocal ?sounds?|gap|pause[sd]?|comment|music(?: playing)?|unclear|silence|"
    r"(?:background )?noise|sniffs?|breath(?:es|ing)?|cheer(?:s|ing)|unk|affirmative"
)
_MARKER = re.compile(
    rf"\{{ ?(?:{_SOUNDS}) ?\}}|\[ ?(?:{_SOUNDS})(?: [\d:.]{{1,12}})?[ .]?\]|\( ?(?:{_HEARD})(?: [\d:.]{{1,12}})?[ .]?\)|"
    rf"<(?:{_SOUNDS})>|♪+|@(?: @)+",
    re.IGNORECASE,
)
_MARKER_SIGNS = re.compile(r"[{\[(<♪@]")

_QUOTE = re.compile(r'"[^"\n\r]{1,300}"|“[^”\n\r]{1,300}”|«[^»\n\r]{1,300}»|„[^“”\n\r]{1,300}[“”]')
_NO_SPACE = re.compile(r"\S")
_QUOTE_SIGNS = re.compile(r'["“«„]')

# In other languages these are words ("er" is German for "he", "um" Portuguese for "one"), and a lone letter is one.
_ENGLISH = re.compile(
    r"\b(?:the|and|it|you|that|this|what|yeah|okay|they|there|think|know|just|with|about|because|have|would|not|are|"
    r"we|we're|don't|I'm|it's|can|like|right|which|if|how|why|who|could|should|going|get|got|them|then|when|where|"
    r"some|other|thing|our|from|really)\b",
    re.IGNORECASE,
)
# These patterns begin with a plain character and look back from there: one that begins with a look-behind is tried at
# every character of the text, which made cleaning twice as slow.
_END = r"(?![\w'’\-])"
_FILLER = re.compile(
    rf"[UuMmHhEe](?<![\w'’\-].)(?:(?<=[Mm])m{{0,2}} ?- ?h+m+|(?<=[Uu])h+(?: ?- ?huh|m*)|(?<=[Hh])m+|"
    rf"(?<=[Mm])(?:hm+|mm+)|(?<=[Ee])rm+){_END}(?:\s*+,)?"
)
_ENGLISH_FILLER = re.compile(rf"[UuEe](?<![\w'’\-].)(?:(?<=[Uu])m+|(?<=[Ee])r){_END}(?:\s*+,)?")
_NAME_NEXT = re.compile(r" [^\W\d_a-z]\w")
_ASIDE_PHRASE = re.compile(r"[YyIM](?:(?<=[Yy])ou know|(?<=I) mean|(?<=M)M?)\s*+,")
_SENTENCE_STOPS = ".?!,;:…-–—"
_TITLES = ("Mr.", "Mrs.", "Ms.", "Dr.", "Prof.", "St.", "Rev.", "Hon.", "Sen.", "Gen.", "Col.", "Capt.")

_ECHO = re.compile(rf"\b([\w'’]++)((?:(?: ?,)?\s++\1)+){_END}", re.IGNORECASE)
# Repeated without an interruption, other words may well be meant: "had had", "that that", "very very", "Duran Duran".
_ECHO_WORDS = (
    "i i'm the a an we we're he she it it's they they're to of and but or if for with at my your our their this these "
    "what when how who there's"
)
_BREAK = re.compile(rf"(?:{_BROKEN}|--|-(?<=\w-)(?=\s)|—|…|\.\.\.)\s*+")
_PHRASE = re.compile(r"([\w'’]++)(?: ([\w'’]++))?(?: ([\w'’]++))?(?: ([\w'’]++))?")
_NUMBER = re.compile(
    r"\d|\b(?:zero|oh|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w+teen|twenty|thirty|forty|fifty|"
    r"sixty|seventy|eighty|ninety|hundred|thousand|million|billion|double|triple|point|first|second|third)\b",
    re.IGNORECASE,
)

# "Yeah . Yeah , okay . So ..." says no more than "Yeah. So ...".
_NOD = r"(?:yeah|yep|okay|ok|right|alright|sure|oh|mm)"
_FIRST_NOD = (
    r"[YyOoRrAaSsMm\u017f](?<!\w.)"  # (U+017F is a letter s to a pattern that ignores case)
    r"(?i:(?<=y)(?:eah|ep)|(?<=o)(?:kay|k|h)|(?<=r)ight|(?<=a)lright|(?<=s)ure|(?<=m)m)"
)
_NODS = re.compile(rf"({_FIRST_NOD})((?i:(?:(?: ?[.,])?\s++{_NOD})+))(?=\s*+(?:[.,?!]|$))")

# A word broken off and begun again: "th- the", "I just p picked", "how much w how easy". A lone letter may also be a
# name ("plan b", "the c compiler"), so it goes only after a word that no noun phrase ends with or goes on after.
_CUT_OFF_SIGN = re.compile(r"-(?<=\w-)\s")
_CUT_OFF = re.compile(r"\b([A-Za-z]{1,4})-\s++(?=\1[a-z'])", re.IGNORECASE)
_FRAGMENT = re.compile(r"\s[bcdfghjklmnpqrstvwz](?=\s)")
_BEFORE_FRAGMENT = (
    "i we you they he she it to would could can will should might must just not don't didn't doesn't gonna 're 'm 've "
    "'ll i'm we're you're they're i've we've i'll we'll it'll that'll"
)
_QUESTION_WORDS = ("how", "what", "when", "where", "why", "which")

# Left behind by what was taken out: "So , um , . Next" must not become "So,. Next".
_BLANK = rf"[{_BROKEN}{_ASIDE}]"
_SPACE = rf"[^\S{_BROKEN}{_ASIDE}]*+"
_STRAY_COMMA = re.compile(rf",(?={_SPACE}{_BLANK}\s*+[,.;:?!])")
# Only from the beginning of a run of blanks, or long runs would take quadratic time.
_STRAY_STOP = re.compile(rf"[ {_BROKEN}{_ASIDE}](?<!\s\s)(?:(?<={_BLANK})|{_SPACE}{_BLANK})\s*+[,.;:?!]")

_ECHOES = frozenset(_ECHO_WORDS.split())
_BEFORE = frozenset(_BEFORE_FRAGMENT.split())

_SPELLED = re.compile(r"(?<![^\W_][A-Z])(?<=[A-Z])_(?:(?=[A-Z]_)|(?<=_[A-Z]_)(?![a-z]{2}|\d))")  # "L_C_D_"

_SQUEEZE = re.compile(
    rf"\s(?:((?<={_JOIN})|\s*+(?=[,.?!;:…](?:[\s,.?!;:\"”’')]|$)|'(?:s|re|m|ve|ll|d)\b(?!')|n't\b|$))|\s++|(?<=[^\S ]))"
)

_NOTHING = (
    "yeah yep yup ya yah okay ok kay right alright all mm mmm hm hmm mhm uh um uhm huh ah aha oh ooh er erm sure cool "
    "great good fine nice wow so and but or then well because cuz anyway I see exactly true oops"
)
_BACKCHANNEL = re.compile(
    rf"(?:[\s,.?!;:…'’\"\-–—]++|(?:{'|'.join(sorted(_NOTHING.split(), key=len, reverse=True))})(?![\w]))*+",
    re.IGNORECASE,
)
_BACKCHANNEL_LENGTH = 60


@dataclass(frozen=True, slots=True)
class Cleaned:
    """`cuts` are pairs (offset in text, offset in raw) at which a run of unchanged characters begins, ascending."""

    text: str
    cuts: tuple[tuple[int, int], ...]


def clean(raw: str) -> Cleaned:
    """What is worth sending of a turn: '' where it only says that someone is listening."""
    view = _without_markers(raw.replace(_JOIN, " "))
    if _QUOTE_SIGNS.search(view):
        view = _QUOTE.sub(lambda m: _NO_SPACE.sub(_QUOTED, m[0]), view)
    english = _ENGLISH.search(view) is not None
    view = _without_fillers(view, english=english)
    view = _without_stutters(view, english=english)
    if _BROKEN in view or _ASIDE in view:
        view = _without_strays(view)
    if "_" in view:
        view = _SPELLED.sub(_JOIN, view)
    cleaned = _squeezed(raw, view)
    if len(cleaned.text) <= _BACKCHANNEL_LENGTH and _BACKCHANNEL.fullmatch(cleaned.text):
        return Cleaned("", ())
    return cleaned


def uncleaned(raw: str) -> Cleaned:
    """The turn as it is."""
    return Cleaned(raw, ((0, 0),) if raw else ())


def to_raw(cuts: Sequence[tuple[int, int]], at: int) -> int:
    """The offset in the raw turn of the character at `at` in the cleaned text.

    A span's end is found from its last character: `to_raw(cuts, end - 1) + 1`.
    """
    if not cuts:
        return at
    text, raw = cuts[max(0, bisect_right(cuts, at, key=lambda cut: cut[0]) - 1)]
    return raw + at - text


def from_raw(cuts: Sequence[tuple[int, int]], at: int) -> int:
    """The offset in the cleaned text of the first character that stands at `at` or later in the raw turn.

    Where nothing stands there any more, this is the length of the cleaned text or more.
    """
    after = bisect_left(cuts, at, key=lambda cut: cut[1])
    if after == 0:
        return 0
    text, raw = cuts[after - 1]
    within = text + at - raw
    return min(within, cuts[after][0]) if after < len(cuts) else within


def _blank(length: int) -> str:
    return _BROKEN * length


def _without_markers(raw: str) -> str:
    if not _MARKER_SIGNS.search(raw):
        return raw
    view = _BROKEN_MARKER.sub(lambda m: _BROKEN * len(m[0]), raw)
    return _MARKER.sub(lambda m: _ASIDE * len(m[0]), view)


def _without_fillers(view: str, *, english: bool) -> str:
    def take(m: re.Match[str]) -> str:
        # A capital in the middle of a sentence is somebody's name, "um" before one may be a word of it.
        if m[0][0].isupper() and not _begins_sentence(view, m.start()):
            return m[0]
        if m[0] in {"um", "er"} and _NAME_NEXT.match(view, m.end()):
            return m[0]
        return _blank(len(m[0]))

    view = _FILLER.sub(take, view)
    if not english:
        return view
    view = _ENGLISH_FILLER.sub(take, view)
    return _ASIDE_PHRASE.sub(lambda m: _blank(len(m[0])) if _begins_sentence(view, m.start()) else m[0], view)


def _begins_sentence(view: str, at: int) -> bool:
    """Whether only a stop, a blank or nothing stands before."""
    before = view[max(0, at - 8) : at].rstrip(" \n")
    return not before or before[-1].isspace() or (before[-1] in _SENTENCE_STOPS and not before.endswith(_TITLES))


def _without_stutters(view: str, *, english: bool) -> str:
    if english:
        view = _FRAGMENT.sub(lambda m: _without_fragment(m, view), view)
    if _CUT_OFF_SIGN.search(view):
        view = _CUT_OFF.sub(lambda m: _blank(len(m[0])), view)
    view = _without_restarts(view)
    view = _ECHO.sub(lambda m: _without_echo(m, view), view)
    return _NODS.sub(lambda m: m[1] + _blank(len(m[2])), view)


def _without_fragment(m: re.Match[str], view: str) -> str:
    letter = m[0][1]
    after = view[m.end() : m.end() + 40].lstrip()
    begun_again = after.startswith(letter) and after[1:2].isalpha()
    before = view[max(0, m.start() - 12) : m.start() + 1].split(" ")[-2:-1]
    if begun_again and before and (before[0].lower() in _BEFORE or before[0].endswith(_BROKEN)):
        return " " + _BROKEN
    if letter == "w" and after.startswith(_QUESTION_WORDS):
        return " " + _BROKEN
    return m[0]


def _without_restarts(view: str) -> str:
    """Without the words that are said again after an interruption: of "it {disfmarker} it is", "it is" stays."""
    parts: list[str] = []
    done = 0  # up to here the view is in parts
    kept = 0  # here ends what stands before the interruption
    for m in _BREAK.finditer(view):
        start, end = m.span()
        if not parts or start - done > 9 or view[done:start].strip(" ,"):
            kept = start
            while kept > done and (view[kept - 1] == "," or view[kept - 1].isspace()):
                kept -= 1
        again = _said_again(view, kept, end)
        if again > end:
            begin = max(kept, done)
            parts += (view[done:begin], _blank(again - begin))
            done = again
    return "".join([*parts, view[done:]]) if parts else view


def _said_again(view: str, end: int, start: int) -> int:
    """Where the words end that stand before `end` and are repeated, once or more, from `start` on."""
    words = _PHRASE.match(view, start)
    for n in range(words.lastindex or 0, 0, -1) if words else ():
        phrase = words[0][: words.end(n) - start] if words else ""
        if _stands_before(view, end, phrase) and not _names_something(phrase) and not _NUMBER.search(phrase):
            while _stands_after(view, start, phrase):
                start += len(phrase) + 1
            return start - 1
    return start


def _stands_before(view: str, end: int, phrase: str) -> bool:
    first = end - len(phrase)
    return view[max(0, first) : end].lower() == phrase.lower() and not (first and _is_wordy(view[first - 1]))


def _stands_after(view: str, start: int, phrase: str) -> bool:
    end = start + len(phrase)
    return view[start:end].lower() == phrase.lower() and not (end < len(view) and _is_wordy(view[end]))


def _is_wordy(character: str) -> bool:
    return character.isalnum() or character in "_'’-"


def _without_echo(m: re.Match[str], view: str) -> str:
    word = m[1].lower()
    if word not in _ECHOES or _names_something(m[2]):
        return m[0]
    before = view[max(0, m.start() - 20) : m.start()].split()
    if word == "i" and before and before[-1][0].isupper():  # "World War I I think"
        return m[0]
    return m[1] + _blank(len(m[2]))


def _without_strays(view: str) -> str:
    view = _STRAY_COMMA.sub(_ASIDE, view)

    def take(m: re.Match[str]) -> str:
        stray = not m.start() or view[m.start() - 1] in ".;:?!,"
        return m[0][:-1] + _ASIDE if stray else m[0]

    return _STRAY_STOP.sub(take, view)


def _names_something(words: str) -> bool:
    """Whether one of the words begins like a name: with a capital, and is not "I"."""
    return any(w[0].isupper() and w not in {"I", "I'm", "I'll", "I've", "I'd"} for w in words.split())


def _squeezed(raw: str, view: str) -> Cleaned:
    parts: list[str] = []
    cuts: list[tuple[int, int]] = []
    length = 0  # of the cleaned text so far
    done = len(view) - len(view.lstrip())  # up to here the raw text is dealt with
    for m in _SQUEEZE.finditer(view, done):
        start, end = m.span()
        if start > done:
            parts.append(raw[done:start])
            cuts.append((length, done))
            length += start - done
        if m[1] is None:
            parts.append(" ")
            cuts.append((length, start))
            length += 1
        done = end
    if done < len(raw):
        parts.append(raw[done:])
        cuts.append((length, done))
    return Cleaned("".join(parts), _joined(cuts))


def _joined(cuts: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Without the runs that only go on where the one before ends."""
    return tuple(cut for i, cut in enumerate(cuts) if i == 0 or cut[1] - cut[0] != cuts[i - 1][1] - cuts[i - 1][0])
