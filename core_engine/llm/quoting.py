"""Takes out of a server's words what it quotes of the request: errors go to logs and traces, transcripts don't."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise

LEFT_OUT = "…"

_LONG = 4  # words in a row that are no chance
# Scripts without spaces: each sign is a word, and as telling as a capital.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3\u0e00-\u0e7f]|[^\W_]+")
_SPACELESS = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3\u0e00-\u0e7f]")
_BEGINS = re.compile(r"(?:^|[.!?:]\s*)\Z")
_QUOTED = re.compile(r"""["'`\u2018\u201c\u00ab]\Z""")


def without_quotes(message: str, asked: Iterable[str]) -> str:
    """The message without names, and without runs of words, that stand in what was asked.

    Four words in a row are taken for a quote, two where one is a name (a capital within a sentence), and one word where
    it is a name or stands in quotation marks.
    """
    texts = list(asked)
    if not message or not texts:
        return message
    words = [match for text in texts for match in _WORD.findall(text)]
    exact = set(words)
    low = [word.casefold() for word in words]
    known, pairs = set(low), set(pairwise(low))
    found = list(_WORD.finditer(message))
    said = [match.group().casefold() for match in found]
    spans: list[tuple[int, int]] = []
    at = 0
    while at < len(found):
        if said[at] not in known:
            at += 1
            continue
        end = at + 1
        while end < len(found) and (said[end - 1], said[end]) in pairs:
            end += 1
        if _is_quote(message, found[at:end], exact):
            spans.append((found[at].start(), found[end - 1].end()))
        at = end
    for start, stop in reversed(spans):
        message = message[:start] + LEFT_OUT + message[stop:]
    return re.sub(rf"{LEFT_OUT}(?:\W{{0,3}}{LEFT_OUT})+", LEFT_OUT, message)


def _is_quote(message: str, run: list[re.Match[str]], exact: set[str]) -> bool:
    if len(run) >= _LONG:
        return True
    before = message[: run[0].start()]
    if len(run) == 1 and _QUOTED.search(before):
        return True
    names = [match for match in run if _is_name(match.group()) and match.group() in exact]
    if len(run) == 1 and names:
        return not _BEGINS.search(before)
    return bool(names)


def _is_name(word: str) -> bool:
    return word[0].isupper() or _SPACELESS.match(word) is not None
