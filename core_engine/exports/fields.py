"""What the fields of the graph's rows hold, so that a new one finds its way into every format by itself."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import fields
from enum import Enum
from typing import Any, Union, get_args, get_origin, get_type_hints


class Kind(Enum):
    """Of a field: what a column of it holds."""

    TEXT = "text"
    WHOLE = "whole number"
    NUMBER = "number"
    FLAG = "true or false"
    TEXTS = "texts"
    WHOLES = "whole numbers"
    PAIRS = "pairs of whole numbers"
    MAP = "texts by name"


def kinds(row: Any) -> Mapping[str, Kind]:
    """The kind of each field of a class of rows but for rows within it, in order."""
    if row not in _known:
        hints = get_type_hints(row)
        found = {field.name: _kind(hints[field.name]) for field in fields(row)}
        _known[row] = {name: kind for name, kind in found.items() if kind is not None}
    return _known[row]


_known: dict[Any, Mapping[str, Kind]] = {}


def _kind(hint: Any) -> Kind | None:
    if get_origin(hint) in {types.UnionType, Union}:  # `str | None`
        (hint,) = [one for one in get_args(hint) if one is not type(None)]
    simple = {str: Kind.TEXT, int: Kind.WHOLE, float: Kind.NUMBER, bool: Kind.FLAG}
    if hint in simple:
        return simple[hint]
    if get_origin(hint) is Mapping:
        return Kind.MAP
    item = get_args(hint)[0]
    return {str: Kind.TEXTS, int: Kind.WHOLES}.get(item) or (Kind.PAIRS if get_origin(item) is tuple else None)
