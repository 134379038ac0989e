"""Which encoding a text has that is not UTF-8: told by charset-normalizer, and among Latin ones by their letters."""

# ruff: noqa: RUF001 - the letters of many languages stand here

from __future__ import annotations

import re

_SAMPLE = 32 << 10

# The ones that transcripts were really saved in; without such a list a short text may be taken for any of a hundred.
_KNOWN = (
    "cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "koi8_r", "iso8859_2",
    "cp932", "euc_jp", "gb18030", "big5", "cp949",
)  # fmt: skip

_MARKS = "“”‘’„«»…–—€°§©®™·•¡¿£ \u00a0"
_EASTERN = ("ąćęłńóśźż", "áčďéěíňóřšťúůýž", "áäčďéíĺľňóôŕšťúýž", "áéíóöőúüű", "ăâîşţ", "čćđšž", "äöüß")
_LETTERS = {
    "cp1252": ("äöüßéèêëàâáãåçïîíìôóòùûúñæøœ", "áâãàçéêíóôõúü"),
    "cp1250": _EASTERN,
    "iso8859_2": _EASTERN,
    "cp1254": ("çğıiöşüâîû",),
    "cp1257": ("āčēģīķļņšūž", "ąčęėįšųūž", "õäöüšž"),
}
"""The letters outside ASCII of the languages written in these encodings; where several fit as well, the first is meant."""


def guessed(data: bytes) -> str | None:
    """The most likely codec of a text that is not UTF-8, or None where it looks like none."""
    from charset_normalizer import from_bytes  # noqa: PLC0415  # nearly all files are UTF-8

    found = from_bytes(data, cp_isolation=list(_KNOWN)).best()
    if found is None:
        return None
    return _latin(data) if found.encoding in _LETTERS else found.encoding


def sample(data: bytes | bytearray) -> bytes:
    """Lines that are not plain ASCII: where the encoding shows."""
    found, size = [], 0
    for match in re.finditer(rb"[^\n]{0,400}[\x80-\xff][^\n]{0,400}\n?", data):
        found.append(match[0])
        size += len(match[0])
        if size > _SAMPLE:
            break
    return b"".join(found)


def is_broken_utf8(data: bytes) -> bool:
    """Whether a text that isn't UTF-8 is meant to be: most of what is not ASCII in it is well-formed."""
    text = data.decode("utf-8", "surrogateescape")
    wrong = len(re.findall("[\udc80-\udcff]", text))
    return len(re.findall("[^\0-\x7f\udc80-\udcff]", text)) > wrong


def _latin(data: bytes) -> str:
    def fitting(codec: str) -> float:
        strange = [c for c in data.decode(codec, "replace").lower() if c > "\x7f" and c not in _MARKS]
        return max(sum(c in letters for c in strange) for letters in _LETTERS[codec]) / max(1, len(strange))

    best = max(_LETTERS, key=fitting)
    if best != "cp1252":
        return best
    try:
        data.decode(best)
    except UnicodeDecodeError:
        return "iso8859_1"
    return best
