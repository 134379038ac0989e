"""Counts tokens: with tiktoken where its vocabulary is on disk, else a quarter of the characters."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

# tiktoken names the files in its cache by the sha1 of their address. We look before we call it, because its download
# has no timeout.
_VOCABULARIES = {
    "o200k_base": "fb374d419588a4632f3f557e76b4b70aebbca790",
    "cl100k_base": "9b5ad71b2ce5302211f9c61530b329a4922fc6a4",
}

Count = Callable[[str], int]


def counter(mode: str, encoding: str = "o200k_base") -> Count:
    """A function from a text to its number of tokens. `mode` is auto, tiktoken or characters."""
    if mode == "characters":
        return by_characters
    if not _on_disk(encoding):
        if mode == "tiktoken":
            raise ValueError(f"the vocabulary {encoding} is not in TIKTOKEN_CACHE_DIR")
        return by_characters
    return _by_tiktoken(encoding)


def by_characters(text: str) -> int:
    return (len(text) + 3) // 4


def _on_disk(encoding: str) -> bool:
    folder = os.environ.get("TIKTOKEN_CACHE_DIR", "")
    return bool(folder) and (Path(folder) / _VOCABULARIES[encoding]).is_file()


@lru_cache(maxsize=2)
def _by_tiktoken(encoding: str) -> Count:
    import tiktoken

    encode = tiktoken.get_encoding(encoding).encode_ordinary
    return lambda text: len(encode(text))
