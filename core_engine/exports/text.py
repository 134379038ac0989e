"""Text as every format can carry it."""

from __future__ import annotations

import re
from typing import Any

_UNPAIRED = re.compile("[\ud800-\udfff]")


def paired(value: Any) -> Any:
    """The value with U+FFFD for unpaired surrogates, which neither UTF-8 nor JSON has a place for."""
    if isinstance(value, str):
        return value if value.isascii() else _UNPAIRED.sub("\ufffd", value)
    if isinstance(value, dict):
        return {paired(key): paired(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [paired(item) for item in value]
    return value
