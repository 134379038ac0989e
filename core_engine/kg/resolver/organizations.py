"""Names of firms and bodies: their legal forms, their short forms, their initials."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import Final

from core_engine.kg.normalise import word_set
from core_engine.kg.resolver.spelling import plain

_LEGAL: Final = {
    form: kind
    for kind, forms in {
        "inc": "inc incorporated", "corp": "corp corporation", "co": "co company", "ltd": "ltd limited",
        "plc": "plc", "llc": "llc", "llp": "llp", "lp": "lp", "gmbh": "gmbh mbh", "ag": "ag", "kg": "kg", "se": "se",
        "sa": "sa", "sas": "sas", "sarl": "sarl", "srl": "srl", "spa": "spa", "bv": "bv", "nv": "nv", "ab": "ab",
        "as": "as", "oy": "oy oyj", "pty": "pty", "kk": "kk",
    }.items()
    for form in forms.split()
}  # fmt: skip

_SHORTENED: Final = {
    short: long
    for long, forms in {
        "laboratory": "lab", "university": "univ", "institute": "inst", "department": "dept", "international": "intl",
        "national": "natl", "association": "assn assoc", "brothers": "bros", "technology": "tech", "operation": "op ops",
        "pharmaceutical": "pharma", "government": "govt", "center": "centre ctr", "organization": "organisation org",
        "management": "mgmt", "committee": "cttee", "service": "svc", "engineering": "eng", "development": "dev",
    }.items()
    for short in forms.split()
}  # fmt: skip

# What a firm's full name may have more than its short one. Not what a division or a sister may be called.
_CORPORATE: Final = word_set("""
    group holding industry international technology system software partner consulting solution enterprise associate
    instrument logistics shipping airline airway motor pharmaceutical chemical foundation laboratory delivery
    freight engineering construction manufacturing creamery brewery bakery publishing publisher press house
""")

# A body that is called by what it is: "the Ministry", "the Infirmary".
_BODIES: Final = word_set("""
    academy agency assembly association authority bank board brigade bureau cathedral chamber church clinic club college
    commission committee constabulary cooperative council court department directorate embassy faculty federation
    foundation hospital infirmary inspectorate institute laboratory league library ministry museum office orchestra
    parliament police school senate society survey theatre theater treasury tribunal trust union university
""")
_SMALL: Final = word_set("of the and for in on at to de la le les du des di y und et &")
_LONGEST_ACRONYM: Final = 8


@lru_cache(maxsize=8_192)
def words_of(norm: str) -> tuple[str, ...]:
    """The words of a name in a form that is the same for "Labs" and "Laboratory"."""
    return tuple(_shared_form(word) for word in plain(norm).split())


def _shared_form(word: str) -> str:
    if word.endswith("ies") and len(word) > 5:
        word = word[:-3] + "y"
    elif word.endswith("s") and len(word) > 3 and not word.endswith(("ss", "us", "is", "ics")):
        word = word[:-1]
    return _SHORTENED.get(word, word)


@lru_cache(maxsize=8_192)
def without_legal_form(norm: str) -> tuple[str, str]:
    """The name without "Inc.", "GmbH" and the like (words as in `words_of`), and the form in a word; '' without one."""
    words = list(words_of(norm))
    forms: list[str] = []
    while len(words) > 1 and words[-1] in _LEGAL:
        forms.append(_LEGAL[words.pop()])
    if len(words) > 1 and words[-1] == "and":  # "Smith and Co."
        words.append("co")
        forms = []
    return " ".join(words), " ".join(reversed(forms))


@lru_cache(maxsize=8_192)
def initials_of(norm: str) -> frozenset[str]:
    """The acronyms that a name of several words may have: with its small words and without, with its legal form or not."""
    found = set()
    for words in (norm.split(), without_legal_form(norm)[0].split()):
        telling = [word for word in words if word not in _SMALL]
        if len(telling) >= 2 and min(map(len, telling)) >= 3 and not _interrupted(words):
            found |= {"".join(word[0] for word in some) for some in (telling, words)}
    return frozenset(plain(each) for each in found if 2 <= len(each) <= _LONGEST_ACRONYM)


def _interrupted(words: list[str]) -> bool:
    """Whether a "the" stands behind a word that tells something: "Rajan the Marketing Expert" is called by no acronym."""
    return any(after == "the" and before not in _SMALL for before, after in pairwise(words))


def is_acronym(name: str) -> bool:
    """Whether a name, as it was said, is written like an acronym: "NASA", "U.S.", not "Nasa"."""
    letters = [char for char in name if char.isalnum()]
    return (
        2 <= len(letters) <= _LONGEST_ACRONYM
        and name.upper() == name
        and " " not in name.strip()
        and letters[0].isalpha()
    )


def telling_words(norm: str) -> tuple[str, ...]:
    return tuple(word for word in words_of(norm) if word not in _SMALL)


def shortens(short: str, long: str) -> bool:
    """Whether the short name is a way to say the long one, where nothing else is called so.

    "Brackenfold" for Brackenfold Instruments, "Water Authority" and "the Authority" for Harrowmere Water Authority;
    not "Amazon" for Amazon Web Services.
    """
    some, all_ = telling_words(short), telling_words(long)
    if not some or len(some) >= len(all_):
        return False
    whole, said = words_of(long), words_of(short)
    if said == whole[-len(said) :]:
        return said[-1] in _BODIES
    if len(said) == 1 and said[0] in _BODIES:
        return whole[0] == said[0]  # "the Ministry" for the Ministry of Inland Transport
    return all_[: len(some)] == some and all(word in _CORPORATE or word in _LEGAL for word in all_[len(some) :])


def holds(short: tuple[str, ...], long: tuple[str, ...]) -> bool:
    """Whether the long name has all words of the short one in a row, and more."""
    size = len(short)
    return 0 < size < len(long) and any(long[at : at + size] == short for at in range(len(long) - size + 1))


def is_common(norm: str) -> bool:
    """Whether the name alone is what many bodies are called: "the Board", "the Ministry"."""
    return all(word in _BODIES for word in words_of(norm))
