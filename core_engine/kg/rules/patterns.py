"""The regular expressions that find words and candidate names; possessive throughout, so that time stays linear."""

from __future__ import annotations

import re

from core_engine.kg.rules.words import LINKS

# The alphabets that have capitals: Latin, Greek, Cyrillic, Armenian, Georgian and their extensions. `re` has no
# \p{Lu}, so the letters are counted out once (3,000 of them, under a millisecond).
_CASED = (
    (0x41, 0x5B),
    (0x61, 0x7B),
    (0xB5, 0x590),
    (0x10A0, 0x1100),
    (0x1C90, 0x2000),
    (0x2C00, 0x2E00),
    (0xA640, 0xA800),
)
_LETTERS = [chr(code) for first, end in _CASED for code in range(first, end)]
_UPPER = "".join(c for c in _LETTERS if c.isupper() or c.istitle())
_LOWER = "".join(c for c in _LETTERS if c.islower())

_REST = r"\w*+(?:['\u2019&\-/+]\w++)*+"
_WORD = rf"""(?:
    (?:Mrs?|Ms|Dr|Prof|St|Jr|Sr|Inc|Corp|Ltd|Co|Sen|Rep|Gov|Gen|Col|Capt|Lt|Sgt|Rev|Hon)\.(?=\s)
  | (?:[{_UPPER}]\.){{2,8}}          # U.S.
  | [{_UPPER}]\.(?=\s?[{_UPPER}])    # the J. of J. Smith
  | [{_UPPER}]{_REST}
  | [{_LOWER}\d]++[{_UPPER}]{_REST}  # iPhone, 3M
)"""


_SPACE = r"[^\S\r\n]"


def _candidate(dash: str) -> re.Pattern[str]:
    link = rf"(?:(?:{LINKS}){_SPACE}(?:(?:the|la|las|los|der|den){_SPACE})?|[&+{dash}]{_SPACE})?"
    gap = rf"(?:{_SPACE}|,{_SPACE}(?=(?:Inc|Ltd|LLC|Corp)\b))"
    number = rf"(?:{_SPACE}(?!(?:19|20)\d\d\b)\d{{1,4}}(?![\w%]|[.,:]\d|{_SPACE}?(?:percent|%|million|billion)))?"
    year = rf"(?:(?:19|20)\d\d{_SPACE})?"
    return re.compile(rf"(?<![\w/=@]){year}{_WORD}(?:{gap}{link}{_WORD}){{0,11}}+{number}", re.VERBOSE)


# Words with a capital in a row, through links ("Bank of the West"), with a year before or a number behind.
CANDIDATE = _candidate(dash="")
# Where a text is written in tokens ("Courier - Journal , he said"), a dash between spaces is a hyphen.
CANDIDATE_IN_TOKENS = _candidate(dash=r"\-\u2013")

LOWER_WORD = re.compile(rf"(?<![\w'\u2019\-])[{_LOWER}]{{1,40}}+(?:['\u2019\-][{_LOWER}]{{1,40}}+){{0,5}}+(?!\w)")
# Search it before a word: the word begins a turn, a sentence, or a quotation.
SENTENCE_ENDS = re.compile(r"(?:\A|[.!?…:;\n\"“]|--)['\"”\u2019)\]\s]*$")
UNCASED_LETTERS = re.compile(
    r"[\u0590-\u109f\u1100-\u139f\u13fe-\u1c7f\u3041-\ua4ff\uac00-\ud7ff\U00020000-\U0003ffff]++"
)

# Amounts, quarters and sizes that look like words: CHF30, 3Q, Q3, H1, FY21, 10K.
AMOUNT = re.compile(
    r"(?:CHF|USD|EUR|GBP|MXN|RMB|JPY|CAD|AUD|CNY|INR|BRL|SEK|NOK|DKK|HKD|SGD)\d|(?!3M$)\d+[QHKMBDX]s?$|[QH][1-4]s?$|FY\d"
)
# "T_V_" is how some corpora write spelled letters.
SPELLED = re.compile(r"(?:[A-Z]_)+[A-Z]?s?")
# "Mm-hmm", "Uh-huh", and contractions of any word: "there'll".
FILLER = re.compile(r"[mhu]+(?:-[mhu]+)+|[mh]+|\w+(?:'(?:ll|ve|re|d|m)|n't)")
ADVERBIAL = re.compile(r"(?:ly|ing|wise|ed)$")
# What hangs behind a name and is not part of it: a possessive, "AI-based", "Covid-related".
TAIL = re.compile(
    r"(?:['\u2019]s?|-(?:age|based|driven|enabled|focused|free|friendly|ish|led|level|like|only|powered|related|specific|style|type|wide))$"
)
