"""XML read event by event, with places, and without anything that can be made to grow: no DTD, no entities of its own."""

from __future__ import annotations

from typing import Protocol
from xml.parsers import expat

from core_engine.errors import Unreadable

_DEEPEST = 200


class Handler(Protocol):
    """Who is told of the elements; names are local, without their namespace. Offsets are into the text."""

    def opens(self, name: str, attributes: dict[str, str], start: int) -> None: ...

    def closes(self, name: str, end: int) -> None: ...

    def words(self, text: str, start: int) -> None: ...


def read_xml(text: str, handler: Handler, shown: str, *, names_dtd: bool = False) -> None:
    """Tell the handler of all there is. Raises Unreadable with line and column, also for a DTD.

    With `names_dtd` the file may name a DTD that lies elsewhere, which is never fetched.
    """
    # Expat expands nothing without a DTD, and a DTD is refused where it begins; it hears no external entity anyway.
    parser = expat.ParserCreate("utf-8", "}")
    parser.buffer_text = False
    data = text.encode("utf-8", "replace")
    place = _Place(data, parser)
    depth = 0

    def opens(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > _DEEPEST:
            raise _fault(shown, parser, f"XML nested deeper than {_DEEPEST} elements")
        handler.opens(_local(name), {_local(key): value for key, value in attributes.items()}, place())

    def closes(name: str) -> None:
        nonlocal depth
        depth -= 1
        handler.closes(_local(name), place())

    def doctype(_name: str, _system: str | None, _public: str | None, has_internal_subset: int) -> None:
        if has_internal_subset or not names_dtd:
            refuse()

    def refuse(*_: object) -> None:
        raise _fault(shown, parser, "XML with a DTD or entities of its own; refused, because they can be made to grow")

    parser.StartElementHandler = opens
    parser.EndElementHandler = closes
    parser.CharacterDataHandler = lambda words: handler.words(words, place())
    parser.StartDoctypeDeclHandler = doctype
    parser.EntityDeclHandler = refuse
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        reason = f"broken XML: {expat.ErrorString(error.code)}"
        raise Unreadable(shown, reason, line=error.lineno, column=error.offset + 1) from error


class _Place:
    """Where the parser stands, in characters: it counts bytes, and only ever goes forward."""

    def __init__(self, data: bytes, parser: expat.XMLParserType) -> None:
        self._data = data
        self._parser = parser
        self._ascii = data.isascii()
        self._byte = self._char = 0

    def __call__(self) -> int:
        byte = self._parser.CurrentByteIndex
        if self._ascii:
            return byte
        self._char += len(self._data[self._byte : byte].decode("utf-8", "replace"))
        self._byte = byte
        return self._char


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def _fault(shown: str, parser: expat.XMLParserType, reason: str) -> Unreadable:
    return Unreadable(shown, reason, line=parser.CurrentLineNumber, column=parser.CurrentColumnNumber + 1)
