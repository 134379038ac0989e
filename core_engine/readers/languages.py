"""Which language a text is in: by its script, and among languages of one script by their commonest words."""

# ruff: noqa: RUF001 - words of many scripts stand here

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

# name, the script, whether it has capitals
_LATIN, _CYRILLIC, _ARABIC = "Latin", "Cyrillic", "Arabic"
NAMES = {
    "en": "English", "de": "German", "fr": "French", "es": "Spanish", "it": "Italian", "pt": "Portuguese", "nl": "Dutch",
    "sv": "Swedish", "da": "Danish", "no": "Norwegian", "fi": "Finnish", "pl": "Polish", "cs": "Czech", "hu": "Hungarian",
    "ro": "Romanian", "tr": "Turkish", "id": "Indonesian", "vi": "Vietnamese", "ru": "Russian", "uk": "Ukrainian",
    "bg": "Bulgarian", "el": "Greek", "he": "Hebrew", "ar": "Arabic", "fa": "Persian", "ur": "Urdu", "hi": "Hindi",
    "th": "Thai", "zh": "Chinese", "ja": "Japanese", "ko": "Korean", "ka": "Georgian", "hy": "Armenian", "bn": "Bengali",
    "ta": "Tamil",
}  # fmt: skip
_BY_NAME = {name.lower(): code for code, name in NAMES.items()} | {
    "eng": "en", "deu": "de", "ger": "de", "fra": "fr", "fre": "fr", "spa": "es", "ita": "it", "por": "pt", "nld": "nl",
    "rus": "ru", "jpn": "ja", "zho": "zh", "chi": "zh", "kor": "ko", "ara": "ar", "heb": "he", "tha": "th", "pol": "pl",
    "nb": "no", "nn": "no",
}  # fmt: skip

_SCRIPTS = (
    (_LATIN, "A-Za-z\u00aa-\u024f\u1e00-\u1eff"),
    ("Greek", "\u0370-\u03ff\u1f00-\u1fff"),
    (_CYRILLIC, "\u0400-\u052f"),
    ("Armenian", "\u0531-\u058f"),
    ("Hebrew", "\u0590-\u05ff"),
    (_ARABIC, "\u0600-\u06ff\u0750-\u077f\u08a0-\u08ff\ufb50-\ufdff\ufe70-\ufeff"),
    ("Devanagari", "\u0900-\u097f"),
    ("Bengali", "\u0980-\u09ff"),
    ("Tamil", "\u0b80-\u0bff"),
    ("Thai", "\u0e00-\u0e7f"),
    ("Georgian", "\u10a0-\u10ff"),
    ("kana", "\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f"),
    ("Hangul", "\u1100-\u11ff\u3130-\u318f\uac00-\ud7af"),
    ("Han", "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"),
)
_LETTERS = tuple((script, re.compile(f"[{letters}]")) for script, letters in _SCRIPTS)
_ONLY = {
    "Greek": "el", "Armenian": "hy", "Hebrew": "he", "Devanagari": "hi", "Bengali": "bn", "Tamil": "ta", "Thai": "th",
    "Georgian": "ka", "kana": "ja", "Hangul": "ko", "Han": "zh",
}  # fmt: skip
_CASED = frozenset({_LATIN, "Greek", _CYRILLIC, "Armenian"})

_WORDS = {
    _LATIN: {
        "en": "the and of to in is that it you we for this with are on have was be not they",
        "de": "der die das und ist nicht ich wir sie es zu ein eine mit auf den für auch von dass",
        "fr": "le la les et est pas que je nous vous il un une des du dans pour ce qui avec",
        "es": "el la los y es no que de en un una por con para se lo más pero como está",
        "it": "il la che di e è non un una per sono con del della si anche ma questo ci gli",
        "pt": "o a os e é não que de um uma para com do da em se mais mas isso você",
        "nl": "de het een en is niet dat ik we van voor met op zijn er maar ook te dit wel",
        "sv": "och det är att i en som jag vi inte på för med den av har ett så men till",
        "da": "og det er at i en som jeg vi ikke på for med af hvad har et så mig til",
        "no": "og det er at i en som jeg vi ikke på for med av hva har et så meg til",
        "fi": "ja on ei se että minä me niin mutta tämä ovat kun oli hän voi kuin sitten ole mitä nyt",
        "pl": "i w nie na to się że jest z do jak ale co tak my czy dla od po są",
        "cs": "a je to se na že v ne jsem ale jak tak my by jsme pro co s už jsou",
        "hu": "a az és hogy nem is van egy ez mi de meg csak már most itt lesz ha igen kell",
        "ro": "și este nu că de la un o în pe cu sunt mai pentru dar am să ce din noi",
        "tr": "ve bir bu da de için çok ne ben biz var değil ama o ile gibi daha evet olarak mi",
        "id": "dan yang di itu ini kita saya tidak ada untuk dengan dari ke akan bisa juga sudah apa kami adalah",
        "vi": "và là của không có này cho chúng tôi được một người trong với các thì đã cũng rất",
    },
    _CYRILLIC: {
        "ru": "и в не на что это я мы с как но да так он у по все вы было есть",
        "uk": "і в не на що це я ми з як але та так він у за все ви було є",
        "bg": "и в не на че това аз ние с как но да е се за той са от ще си",
    },
    _ARABIC: {
        "ar": "في من على أن هذا إلى لا ما هو نحن مع كان التي عن لم كل هذه قد ثم نعم",
        "fa": "و در به از که این را است با ما برای آن می هم یک تا بر خود شود نه",
        "ur": "اور کے میں کی ہے سے کو کا یہ ہم نہیں پر ہیں بھی تو نے اس جو کہ ایک",
    },
}
_STOP_WORDS = {
    script: {code: frozenset(text.split()) for code, text in each.items()} for script, each in _WORDS.items()
}
_WORD = re.compile(r"[^\W\d_]+")
_SAMPLE = 40_000


@dataclass(frozen=True, slots=True)
class Language:
    """`code` is '' where it can't be told. `capitals` says whether the script has them."""

    code: str
    script: str
    capitals: bool

    @property
    def name(self) -> str:
        return NAMES.get(self.code, "unknown")

    @property
    def names_by_rules(self) -> bool:
        """Whether names can be told by their capitals. In German every noun has one."""
        return self.capitals and self.code != "de"


def language_of(texts: Iterable[str]) -> Language:
    """The language of most of the texts; only their beginning is looked at, and spread over all of them."""
    text = _sampled(texts)
    letters = Counter({script: len(pattern.findall(text)) for script, pattern in _LETTERS})
    if letters["kana"] and letters["kana"] > 0.05 * letters["Han"]:
        letters["kana"] += letters["Han"]
        letters["Han"] = 0
    script, count = letters.most_common(1)[0]
    if not count:
        return Language("", "", capitals=False)
    code = _ONLY.get(script) or _by_words(text, script)
    shown = {"kana": "Japanese", "Han": "Chinese"}.get(script, script)
    return Language(code, shown, capitals=script in _CASED)


def language_code(told: str) -> str | None:
    """The ISO 639-1 code of a language as files name it (`en-US`, `English`, `eng`); None for what is none of them."""
    word = re.split(r"[-_]", told.strip().lower(), maxsplit=1)[0]
    return word if word in NAMES else _BY_NAME.get(word)


def _by_words(text: str, script: str) -> str:
    words = Counter(_WORD.findall(text.lower()))
    found = {code: sum(words[word] for word in stop) for code, stop in _STOP_WORDS[script].items()}
    best = max(found, key=lambda code: found[code])
    return best if found[best] >= max(2, 0.03 * words.total()) else ""


def _sampled(texts: Iterable[str]) -> str:
    found, size = [], 0
    for text in texts:
        found.append(text[:2000])
        size += len(found[-1])
        if size > _SAMPLE:
            break
    return "\n".join(found)
