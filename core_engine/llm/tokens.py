"""How many tokens a text has, and a reply will have."""

from __future__ import annotations

import bisect
import hashlib
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

# tiktoken names a vocabulary's file by the sha1 of its address, and downloads it, without a timeout, where the file is
# missing or its sha256 is not this one (tiktoken/load.py, tiktoken_ext/openai_public.py).
_VOCABULARIES = {
    "o200k_base": (
        "fb374d419588a4632f3f557e76b4b70aebbca790",
        "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
    ),
    "cl100k_base": (
        "9b5ad71b2ce5302211f9c61530b329a4922fc6a4",
        "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
    ),
}

_PUNCTUATION = str.maketrans("", "", ".,?!'\"-:;()[]{}<>/\\_*#@&%$+=|~`^")
_SANE = 4.0


class TokenCounter:
    """Counts a model's tokens.

    By default an estimate from the characters, which learns from the usage of replies: 8 us a chunk, within 7 % for
    nine chunks of ten of English, and right on average after the first replies. That is all that a rate limit needs.
    With `exact`, tiktoken's count, if the model's vocabulary is on disk: 30 us a chunk and 72 MB of memory, which
    pays for an estimate of costs before the first reply. `estimator` says which of the two it is.
    """

    def __init__(self, model: str, *, exact: bool = False) -> None:
        self._encode = _encoder(model) if exact else None
        self.estimator: Literal["tiktoken", "characters"] = "tiktoken" if self._encode else "characters"
        self._characters = 0.0
        self._estimated = 0.0
        self._seen_characters = 0.0
        self._seen_tokens = 0.0

    def count(self, text: str) -> int:
        """Tokens of the text. Special tokens in it count as the text that they are."""
        if self._encode is not None:
            return len(self._encode(text))
        estimate = estimate_tokens(text)
        self._characters += len(text)
        self._estimated += estimate
        return max(round(estimate * self.factor), 1) if text else 0

    def observe(self, text_chars: int, prompt_tokens: int) -> None:
        """A reply's usage: so many tokens had a prompt of so many characters. Absurd usage teaches nothing."""
        if self._encode is not None or text_chars <= 0 or not self._estimated:
            return
        expected = text_chars * self._estimated / self._characters
        if expected / _SANE <= prompt_tokens <= expected * _SANE:
            self._seen_characters += text_chars
            self._seen_tokens += prompt_tokens

    @property
    def taught(self) -> bool:
        """A reply has said how many tokens there were."""
        return self._seen_characters > 0

    @property
    def factor(self) -> float:
        """What the replies have taught to multiply estimates by."""
        if not self._seen_characters:
            return 1.0
        return (self._seen_tokens / self._seen_characters) / (self._estimated / self._characters)


class CompletionModel:
    """How long replies are: at first a guess by chunks, then as they have been.

    `expected` is for the rate limiter, `ceiling` for the budget and the request's own limit: it is at least twice the
    99.9th percentile seen, so that no reply is cut for it. A model that runs on and on must not teach it that replies
    are so long: it stays within a few times the first guess.
    """

    _MOST = 8.0  # times the first guess: enough for much reasoning, and less than models refuse to write
    _KEPT = 1_024  # of the longest: the 99.9th percentile of a million replies

    def __init__(self, *, per_chunk: int = 400, most_per_chunk: int = 1_200, reasoning: int = 2_000) -> None:
        self._per_chunk = per_chunk
        self._most_per_chunk = most_per_chunk
        self._reasoning = reasoning
        self._seen = 0
        # The first guess counts like two replies.
        self._guessed = self._replied = 2.0 * per_chunk
        self._longest: list[float] = []  # as multiples of the first ceiling, ascending

    def expected(self, chunks: int) -> int:
        """Tokens that a reply to so many chunks will probably have."""
        return round(self._per_chunk * chunks * self._replied / self._guessed)

    def ceiling(self, chunks: int, more_room: int = 1) -> int:
        """Tokens that it will not exceed; `more_room` times as many where an answer was cut before."""
        first = self._most_per_chunk * chunks + self._reasoning
        learned = 1.0
        if self._seen:
            learned = 2 * self._longest[-1 - min(self._seen // 1_000, len(self._longest) - 1)]
            # A thousandth can only be judged after a thousand; until then the first guess stands, if it is higher.
            learned = learned if self._seen >= 1_000 else max(learned, 1.0)
        return round(first * min(learned * more_room, self._MOST))

    def observe(self, chunks: int, completion_tokens: int) -> None:
        """A whole reply's length. Not for one that was cut off: its length is our ceiling, not its own."""
        if chunks <= 0 or completion_tokens <= 0:
            return
        self._seen += 1
        self._guessed += self._per_chunk * chunks
        self._replied += completion_tokens
        bisect.insort(self._longest, completion_tokens / (self._most_per_chunk * chunks + self._reasoning))
        if len(self._longest) > self._KEPT:
            del self._longest[0]


def estimate_tokens(text: str) -> float:
    """Tokens of a text by its letters, spaces and punctuation, fitted to o200k_base on meeting transcripts."""
    ascii_text = text if text.isascii() else text.encode("ascii", "ignore").decode("ascii")
    spaces = ascii_text.count(" ") + ascii_text.count("\n")
    marks = len(ascii_text) - len(ascii_text.translate(_PUNCTUATION))
    letters = len(ascii_text) - spaces - marks
    # Nobody's words have 18 letters on average: a long key or address has more tokens than it has spaces.
    tokens = max(0.06 * letters + 0.74 * spaces + marks, 0.15 * len(ascii_text))
    if other := len(text) - len(ascii_text):
        # In UTF-8, Cyrillic, Greek and Arabic letters take two bytes, Chinese, Japanese, Korean and Thai three, emoji
        # four; the more bytes, the fewer of them share a token.
        size = (len(text.encode("utf-8", "surrogatepass")) - len(ascii_text)) / other
        tokens += other * (0.25 + 0.4 * (size - 2))
    return tokens


def vocabulary(encoding: str, environ: Mapping[str, str] | None = None) -> Path | None:
    """The vocabulary's file where tiktoken would look for it, if it is there and whole."""
    name, sha256 = _VOCABULARIES[encoding]
    # These variables are tiktoken's own settings: it would read them itself.
    env = os.environ if environ is None else environ
    folder = env.get("TIKTOKEN_CACHE_DIR", env.get("DATA_GYM_CACHE_DIR"))
    if folder == "":
        return None  # tiktoken's way to say: never cached, always downloaded
    path = Path(folder or Path(tempfile.gettempdir(), "data-gym-cache")) / name
    try:
        whole = hashlib.sha256(path.read_bytes()).hexdigest() == sha256
    except OSError:
        return None
    return path if whole else None


def _encoder(model: str) -> Callable[[str], list[int]] | None:
    import tiktoken  # noqa: PLC0415 - 72 MB with a vocabulary: only for who asks for exact counts

    try:
        encoding = tiktoken.encoding_name_for_model(model.rpartition("/")[2])
    except KeyError:
        return None  # another maker's model
    if encoding not in _VOCABULARIES or vocabulary(encoding) is None:
        return None
    return tiktoken.get_encoding(encoding).encode_ordinary
