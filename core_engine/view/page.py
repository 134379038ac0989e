"""One HTML page of a graph: everything in it, nothing from elsewhere, and no name in it that could run.

The data stands in a script element of type application/json, which browsers do not run, with every `<` escaped; the page's
own script shows it as text alone. A Content-Security-Policy forbids every other script, style, request and form.
"""

from __future__ import annotations

import base64
import hashlib
import html
import math
import re
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import orjson

from core_engine.ledger.around import Said
from core_engine.view.graph import ViewGraph
from core_engine.view.layout import layout

_LONGEST_QUOTE = 1_200  # characters
_SLOT = re.compile(r"\{\{(\w+)\}\}")
_UNPAIRED = re.compile("[\ud800-\udfff]")


def page(graph: ViewGraph, title: str, version: str) -> str:
    """The page's whole text: the same graph gives the same page."""
    style, script = _asset("view.css"), _asset("view.js")
    slots = {
        "title": html.escape(_UNPAIRED.sub("\ufffd", title)),
        "policy": _policy(style, script),
        "style": style,
        "script": script,
        "data": _in_html(_data(graph, title, version)),
    }
    # In one pass: what was filled in is not looked at again.
    return _SLOT.sub(lambda slot: slots[slot[1]], _asset("view.html"))


def radius(weight: int) -> float:
    """Of a node, by how many chunks name it."""
    return round(3 + 2.1 * math.sqrt(min(weight, 120)), 1)


def _data(graph: ViewGraph, title: str, version: str) -> dict[str, Any]:
    radii = [radius(node.entity.weight) for node in graph.nodes]
    places = layout([(edge.source, edge.target) for edge in graph.edges], radii)
    documents = dict(sorted(graph.documents.items(), key=lambda item: (item[1], item[0])))
    at = {identity: number for number, identity in enumerate(documents)}
    types, kinds, speakers, quotes = _Numbered(), _Numbered(), _Numbered(), _Numbered()

    def quoted(said: Sequence[Said]) -> list[int]:
        return [
            quotes.number(
                (
                    at[one.where.document_id],
                    one.where.index + 1,
                    speakers.number(one.speaker or ""),
                    one.start,
                    _shortened(one.quote),
                    one.modality if one.modality not in {"", "stated"} else "",
                )
            )
            for one in said
        ]

    nodes = [
        [
            node.entity.id,
            node.entity.name,
            types.number(node.entity.labels[0]),
            node.entity.weight,
            r,
            round(x),
            round(y),
            node.entity.aliases,
            node.places,
            [at[one] for one in node.documents],
            quoted(node.said),
        ]
        for node, r, (x, y) in zip(graph.nodes, radii, places, strict=True)
    ]
    edges = [
        [
            edge.source,
            edge.target,
            kinds.number(edge.type),
            edge.weight,
            [at[one] for one in edge.documents],
            quoted(edge.said),
        ]
        for edge in graph.edges
    ]
    return {
        "title": title,
        "version": version,
        "centre": graph.centre,
        "entities": graph.entities,
        "relationships": graph.relationships,
        "documents": list(documents.values()),
        "types": types.held,
        "kinds": kinds.held,
        "speakers": speakers.held,
        "quotes": quotes.held,
        "nodes": nodes,
        "edges": edges,
    }


class _Numbered:
    """Values, each once, by the number of its place."""

    def __init__(self) -> None:
        self.held: list[Any] = []
        self._numbers: dict[Any, int] = {}

    def number(self, value: Any) -> int:
        if value not in self._numbers:
            self._numbers[value] = len(self.held)
            self.held.append(value)
        return self._numbers[value]


def _shortened(quote: str) -> str:
    return quote if len(quote) <= _LONGEST_QUOTE else quote[:_LONGEST_QUOTE].rstrip() + " …"


def _in_html(data: dict[str, Any]) -> str:
    """The data as JSON in which nothing ends a script element, or begins a comment in one."""
    try:
        text = orjson.dumps(data).decode()
    except (orjson.JSONEncodeError, UnicodeEncodeError):
        text = orjson.dumps(_paired(data)).decode()
    return in_script(text)


def in_script(json: str) -> str:
    """JSON as it stands in a page."""
    return json.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _paired(value: Any) -> Any:
    if isinstance(value, str):
        return _UNPAIRED.sub("\ufffd", value)
    if isinstance(value, dict):
        return {key: _paired(item) for key, item in value.items()}
    return [_paired(item) for item in value] if isinstance(value, list | tuple) else value


def _policy(style: str, script: str) -> str:
    def named(text: str) -> str:
        return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"

    return (
        f"default-src 'none'; script-src {named(script)}; style-src {named(style)}; base-uri 'none'; form-action 'none'"
    )


def _asset(name: str) -> str:
    return (files(__package__) / "page" / name).read_text("utf-8")
