"""Dates, times, amounts of money, percentages, e-mail and web addresses of a text, each told by its form alone.

Left out on purpose: ordinals by themselves and words that only point at the day of talking ("today", "this morning"),
which would be the commonest entities of every graph and say nothing. Ordinals belong to dates ("the third quarter",
"March 5th") and names ("5th Avenue"). Durations ("two weeks") are no dates.

The words in these forms are English; what is written in figures is found in any language.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

DATE: Final = "Date"
MONEY: Final = "Money"
PERCENTAGE: Final = "Percentage"
EMAIL: Final = "EmailAddress"
WEB: Final = "WebAddress"
VALUES: Final = (DATE, MONEY, PERCENTAGE, EMAIL, WEB)
"""The types that a form tells; nothing else in a text is of these types to the rules."""

_DATE, _MONEY, _PERCENTAGE, _EMAIL, _WEB = range(5)


class Value(NamedTuple):
    """`text[start:end]` is of the type `VALUES[kind]`."""

    start: int
    end: int
    kind: int


def values(text: str) -> list[Value]:
    """All of them in the order of the text; of two that overlap, the one that begins first, or is longer."""
    found = [*_figures(text), *_money(text), *_capitals(text), *_words(text), *_addresses(text)]
    kept: list[Value] = []
    for value in sorted(found, key=lambda value: (value.start, -value.end)):
        if not kept or value.start >= kept[-1].end:
            kept.append(value)
    return kept


# Each kind is looked for from its anchor: a figure, a sign, a capital, a word that is rare. From there a pattern is
# matched forwards, and what belongs to the value in front of it backwards. As one search for everything at every place
# of the text it took six times as long.

_FAR_BACK = 60

_MONTH = (
    r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sep(?:t(?:ember)?)?|"
    r"Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)\b(?:(?<=\b[A-Z][a-z][a-z])\.|(?<=\bSept)\.)?"
)
_WEEKDAY = r"(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day"
_DAY = r"(?:3[01]|[12]\d|0?[1-9])(?:st|nd|rd|th)?(?![\w%]|[.,:/]\d)"
_YEAR = r"(?:19|20)\d\d(?![\w%$]|[.,:/\-]\d)"
_OF_YEAR = rf"(?:(?:,|[ ]of|[ ]in)?[ ](?:fiscal[ ](?:year[ ])?)?{_YEAR}|[ ]of[ ](?:last|this|next)[ ]year|[ ](?:of[ ])?FY[ ]?\d\d\b)"
_PART = r"(?:[ ](?:morning|afternoon|evening|night)\b)?"
_ZONE = r"(?:[ ](?:[ECMP][SD]?T|GMT|UTC|CET|Eastern|Central|Mountain|Pacific)\b(?:[ ][Tt]ime\b)?)?"
_NUMBER = r"(?:\d{1,3}(?:,\d{3})++|\d{1,15}+)(?:\.\d{1,6}+)?"
_SCALE = r"(?:[ ](?:hundred[ ])?(?:thousand|million|billion|trillion)\b|[ ]?(?:[kKMB]|bn|mm|mn)\b)"
_COIN = (
    r"(?:US[ ]dollars?|dollars?|bucks|cents?|[Ee]uros?|pounds[ ]sterling|yen|yuan|renminbi|rupees|pesos|francs|"
    r"kron(?:or|er)|USD|EUR|GBP|CHF|JPY|CNY|RMB|CAD|AUD|INR|MXN)\b"
)
_HUNDREDTHS = r"(?:[ ]?%|[ ](?:percent(?:age[ ]points?)?|per[ ]cent|basis[ ]points?|bps)\b)"
_SMALL = (
    "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|"
    "eighteen|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety"
)
_LARGE = "hundred|thousand|million|billion|trillion"
_SPELLED = (
    rf"(?:(?:(?:a|half[ ]a)[ ](?:{_LARGE})|{_SMALL})\b"
    rf"(?:[ \-](?:and[ ](?:a[ ])?|point[ ])?(?:{_SMALL}|{_LARGE}|half)\b){{0,7}})"
)


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.VERBOSE)


# --- figures --------------------------------------------------------------------------------------------------------

_FIGURE = re.compile(r"\d+")
_PART_OF_MORE = frozenset("_.,:/-@$\u20ac\u00a3\u00a5\u20b9")  # before a figure
_FORMS = _pattern(rf"""
    (?P<d>
        (?:19|20)\d\d-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])\b(?!-)
      | \d{{1,2}}/\d{{1,2}}/(?:\d{{4}}|\d\d)\b(?!/)
      | \d{{1,2}}\.\d{{1,2}}\.(?:19|20)\d\d\b
      | (?:[01]?\d|2[0-3]):[0-5]\d(?::[0-5]\d)?(?![\d:])(?:[ ]?[AaPp]\.?[Mm]\b\.?)?{_ZONE}
      | (?:1[0-2]|[1-9])(?:[ ]?[ap]\.m\.|[ ]?[AaPp][Mm]\b|[ ]o['\u2019]clock\b){_ZONE}
      | {_DAY}[ ](?:of[ ])?{_MONTH}(?:,?[ ](?:of[ ])?{_YEAR})?
      | \d{{1,2}}(?:st|nd|rd|th)[ ][Cc]entury\b
      | (?:19|20)\d0s\b
      | [1-4][QH](?:['\u2019 ]?\d\d\b|{_OF_YEAR})?(?!\w)
    )
  | (?P<m>{_NUMBER}(?:{_SCALE}?[ ]?(?:{_COIN}|\u20ac)|[ ][mb]illion[ ]pounds\b))
  | (?P<p>{_NUMBER}{_HUNDREDTHS})
  | (?P<y>(?:1[5-9]|20)\d\d(?![\w%$]|[.,:/\-]\w))
""")
_BEFORE_FIGURE = _pattern(rf"(?:\b{_WEEKDAY},?[ ](?:the[ ])?|\b[Tt]he[ ]|(?:^|(?<=[\s(]))[+\-\u2212])$")
# A number of four figures is a year where the words say so, or where it is no round number that something is counted by.
_BEFORE_YEAR = re.compile(
    r"\b(?:in|since|by|until|till|during|through|throughout|of|from|for|and|to|early|late|before|after|year|class)[ ]$",
    re.IGNORECASE,
)
_COUNTED = re.compile(r" [a-z]{3,}s\b")


def _figures(text: str) -> Iterator[Value]:
    done = 0
    for figure in _FIGURE.finditer(text):
        start = figure.start()
        if start < done or (start and _is_inside(text, start)):
            continue
        found = _FORMS.match(text, start)
        if found is None:
            continue
        done = found.end()
        kind = found.lastgroup
        if kind == "y":
            if _is_year(text, start, done):
                yield Value(start, done, _DATE)
            continue
        before = _BEFORE_FIGURE.search(text, max(0, start - _FAR_BACK), start)
        if before and (kind == "d" or before[0][0] in "+-\u2212"):
            start = before.start()
        yield Value(start, done, {"d": _DATE, "m": _MONEY, "p": _PERCENTAGE}[str(kind)])


def _is_inside(text: str, start: int) -> bool:
    before = text[start - 1]
    if before == "-":  # of "-5 %" the beginning, of "COVID-19" not
        return start > 1 and not text[start - 2].isspace()
    return before.isalnum() or before in _PART_OF_MORE


def _is_year(text: str, start: int, end: int) -> bool:
    if _BEFORE_YEAR.search(text, max(0, start - 12), start):
        return True
    return "1949" < text[start:end] < "2050" and text[end - 2 : end] != "00" and not _COUNTED.match(text, end)


# --- signs of currencies --------------------------------------------------------------------------------------------

_SIGN = re.compile(r"[$\u20ac\u00a3\u00a5\u20b9]")
_SIGNED = _pattern(rf".[ ]?{_NUMBER}{_SCALE}?(?:[ ]{_COIN})?")
_BEFORE_SIGN = re.compile(r"\b(?:US|CA|HK|NZ|[ACRS])$")


def _money(text: str) -> Iterator[Value]:
    for sign in _SIGN.finditer(text):
        if found := _SIGNED.match(text, sign.start()):
            before = _BEFORE_SIGN.search(text, max(0, sign.start() - 3), sign.start())
            yield Value(before.start() if before else sign.start(), found.end(), _MONEY)


# --- capitals -------------------------------------------------------------------------------------------------------

_CAPITAL = re.compile(
    r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec|Mon|Tues|Wed|Thu|Fri|Sat|Sun|Q[1-4]|H[12]|FY|CY|Fiscal|"
    r"Tomorrow|Yesterday|USD|EUR|GBP|CHF|JPY|CNY|RMB|CAD|AUD|INR|MXN|BRL|SEK|NOK|DKK|HKD|SGD)"
)
_DATED = _pattern(rf"""
    {_MONTH}(?P<sure>[ ](?:the[ ])?{_DAY}(?:,?[ ]{_YEAR})?|(?:,|[ ]of)?[ ]{_YEAR})?(?![\w'\u2019])
  | (?P<week>{_WEEKDAY}s?\b{_PART}(?:,?[ ](?:the[ ])?(?:{_MONTH}[ ]{_DAY}(?:,?[ ]{_YEAR})?|{_DAY}[ ](?:of[ ])?{_MONTH}(?:,?[ ]{_YEAR})?))?)
  | (?P<code>(?:Q[1-4]|H[12])(?:['\u2019 ]?\d\d\b|{_OF_YEAR})?(?!\w)|(?:FY|CY)[ '\u2019]?\d\d(?:\d\d)?\b|Fiscal[ ](?:[Yy]ear[ ])?{_YEAR})
  | (?P<day>(?:Tomorrow|Yesterday)\b{_PART})
  | (?P<m>[A-Z]{{3}}[ ]?{_NUMBER}{_SCALE}?)
""")
# Alone, "March" begins a sentence, "May" asks, and "April" and "August" are people: a month needs a word for times.
_BEFORE_MONTH = _pattern(
    r"\b(?:(?:in|of|by|since|until|till|through|before|after|during|from|for|to|and)[ ]|"
    r"(?P<part>(?:last|next|this|early|late|mid|the[ ](?:end|beginning|middle|start)[ ]of)[ \-]))$"
)
_NEXT = r"(?:[Ll]ast|[Nn]ext|[Tt]his|[Cc]oming|[Ff]ollowing|[Pp]revious|[Pp]ast|[Pp]rior|[Cc]urrent)"
_BEFORE_DAY = re.compile(rf"\b(?:[Tt]he )?{_NEXT} $")


def _capitals(text: str) -> Iterator[Value]:
    done = 0
    for capital in _CAPITAL.finditer(text):
        start = capital.start()
        if start < done or (start and (text[start - 1].isalnum() or text[start - 1] in "_.@/")):
            continue
        found = _DATED.match(text, start)
        if found is None:
            continue
        end = found.end()
        if found["m"]:
            yield Value(start, end, _MONEY)
        elif found["week"]:
            before = _BEFORE_DAY.search(text, max(0, start - _FAR_BACK), start)
            yield Value(before.start() if before else start, end, _DATE)
        elif found["code"] or found["day"]:
            yield Value(start, end, _DATE)
        else:
            before = _BEFORE_MONTH.search(text, max(0, start - _FAR_BACK), start)
            if found["sure"] or (before and not _GOES_ON.match(text, end)):
                yield Value(before.start("part") if before and before["part"] else start, end, _DATE)
            else:
                continue
        done = end


_GOES_ON = re.compile(r" [A-Z]")  # "from April Jones"

# --- words ----------------------------------------------------------------------------------------------------------

_NTH = r"(?:\d{1,2}(?:st|nd|rd|th)|[Ff]irst|[Ss]econd|[Tt]hird|[Ff]ourth|[Ll]ast|[Ff]inal)"
_END_OF = r"(?:[Tt]he[ ])?(?:[Ee]nd|[Bb]eginning|[Mm]iddle|[Ss]tart)[ ]of[ ](?:the|this|next|last)[ ]"
_COUNT = rf"(?:{_NUMBER}|{_SMALL}|[Aa][ ](?:few|couple(?:[ ]of)?)|[Ss]everal|[Aa])"
_BEFORE_PERIOD = _pattern(
    rf"\b(?:(?P<sure>{_END_OF}|(?:[Tt]he[ ])?{_NEXT}[ ](?:fiscal[ ])?)|(?P<nth>(?:[Tt]he[ ])?{_NTH}[ ](?:fiscal[ ])?)|"
    rf"(?P<count>{_COUNT}[ ])|(?P<fiscal>(?:[Ff]iscal|[Cc]alendar)[ ]))$"
)
_PERIOD = _pattern(rf"""
    (?:weekend|week|month|(?P<part>quarter|half)|year|summer|winter|spring|autumn)
    (?:(?P<ago>s?[ ](?:ago|from[ ]now)\b)|\b(?P<of>{_OF_YEAR})?(?!['\u2019-]\w|[ -]over))
""")
_BEFORE_NUMBER = _pattern(rf"\b{_SPELLED}(?:{_SCALE})?[ ]$")
_COIN_WORD = _pattern(_COIN)
_HUNDREDTH_WORD = _pattern(_HUNDREDTHS)

_PERIODS = ("week", "month", "quarter", "half", "year", "summer", "winter", "spring", "autumn")
_COINS = ("dollar", "buck", "cent", "euro", "Euro", "yen", "yuan", "renminbi", "rupee", "peso", "franc", "kron")
_HUNDREDTH = ("percent", "per cent", "basis point")
_DAYS = re.compile(rf"(?:tomorrow|yesterday)\b{_PART.replace('[ ]', ' ')}|year[ -]end\b(?: {_YEAR})?")


def _words(text: str) -> Iterator[Value]:
    for needle in _PERIODS:
        for start in _places(text, needle):
            yield from _period(text, start)
    for needle in _COINS:
        for start in _places(text, needle):
            yield from _spelled(text, start, _COIN_WORD, _MONEY)
    for needle in _HUNDREDTH:
        for start in _places(text, needle):
            yield from _spelled(text, start - 1, _HUNDREDTH_WORD, _PERCENTAGE)
    if "tomorrow" in text or "yesterday" in text or "year" in text:
        for found in _DAYS.finditer(text):
            yield Value(found.start(), found.end(), _DATE)


def _places(text: str, needle: str) -> Iterator[int]:
    """Where a word begins with the needle."""
    at = text.find(needle)
    while at >= 0:
        if not at or not text[at - 1].isalnum():
            yield at
        at = text.find(needle, at + 1)


def _period(text: str, start: int) -> Iterator[Value]:
    found = _PERIOD.match(text, start)
    before = _BEFORE_PERIOD.search(text, max(0, start - _FAR_BACK), start)
    if found is None or before is None:
        return
    sure = before["sure"] is not None and found["ago"] is None
    nth = before["nth"] is not None and (found["part"] or found["of"])
    counted = before["count"] is not None and found["ago"] is not None
    fiscal = before["fiscal"] is not None and found["of"] is not None
    if sure or nth or counted or fiscal:
        yield Value(before.start(), found.end(), _DATE)


def _spelled(text: str, start: int, unit: re.Pattern[str], kind: int) -> Iterator[Value]:
    found = unit.match(text, start) if start >= 0 else None
    first = found.start() + (kind == _PERCENTAGE) if found else 0
    before = _BEFORE_NUMBER.search(text, max(0, first - _FAR_BACK), first) if found else None
    if found and before:
        yield Value(before.start(), found.end(), kind)


# --- addresses ------------------------------------------------------------------------------------------------------

_TLD = "com|org|net|edu|gov|io|ai|dev|info|biz|app|tv|us|uk|eu|de|fr|es|it|nl|ch|at|se|ca|au|jp|cn|in|br|mx"
_DOTTED = re.compile(rf"\.(?:{_TLD})\b")
_REST = r"[^\s<>\"\u201c\u201d]"
_ADDRESS = _pattern(rf"""
    (?P<mail>(?<![\w.+\-])[\w.+\-]{{1,64}}+@(?:[\w\-]{{1,63}}+\.){{1,6}}[A-Za-z]{{2,18}}\b)
  | https?://{_REST}{{3,500}}+
  | (?<![\w.@\-/])(?:[\w\-]{{1,63}}+\.){{1,5}}(?:{_TLD})(?:/{_REST}{{0,300}}+|(?![\w@]|[.\-]\w))
""")


def _addresses(text: str) -> Iterator[Value]:
    if "@" not in text and "://" not in text and not _DOTTED.search(text):
        return
    for found in _ADDRESS.finditer(text):
        end = found.start() + len(found[0].rstrip(".,;:!?'\u2019)]}*"))
        yield Value(found.start(), end, _EMAIL if found["mail"] else _WEB)
