"""Graphs for pages, of any size, made from a seed."""

from __future__ import annotations

import random

from core_engine.identity import entity_id
from core_engine.ledger.around import Said, Where
from core_engine.types import EntityRow
from core_engine.view.graph import ViewEdge, ViewGraph, ViewNode

TYPES = ("Person", "Organization", "Product", "Place", "Event", "Technology", "Role", "Date")
KINDS = ("WORKS_AT", "HAS_ROLE", "LOCATED_IN", "CO_OCCURS", "CO_OCCURS", "CO_OCCURS")
_WORDS = [
    "the",
    "river",
    "survey",
    "is",
    "late",
    "and",
    "we",
    "should",
    "tell",
    "the",
    "board",
    "about",
    "the",
    "new",
    "pumps",
    "before",
    "the",
    "winter",
    "comes",
]


def view_graph(nodes: int, edges: int, *, documents: int = 60, seed: int = 1) -> ViewGraph:
    """Some entities are named often, and joined to much; each node has up to 5 quotes, each edge one or two."""
    draw = random.Random(seed)
    names = {f"d{n}": f"meeting-{n:03}.vtt" for n in range(documents)}

    def said(about: str) -> Said:
        document = draw.choice(list(names))
        words = " ".join(draw.choices(_WORDS, k=draw.randint(8, 30)))
        start = draw.random() * 4000
        quote = f"{words.capitalize()}, said {about}."
        return Said(Where(document, names[document], draw.randrange(40)), 1, "Ann Lee", start, start + 5, quote)

    rows = [
        EntityRow(entity_id(f"{n}"), f"Name {n}", (TYPES[n % len(TYPES)],), (f"N{n}",), max(1, int(200 / (n + 1))))
        for n in range(nodes)
    ]
    shown = []
    for row in rows:
        quotes = [said(row.name) for _ in range(min(row.weight, 5))]
        shown.append(ViewNode(row, quotes, row.weight, sorted({one.where.document_id for one in quotes})))
    pairs = {(int(nodes * draw.random() ** 3), draw.randrange(nodes)) for _ in range(edges)}
    links = []
    for source, target in sorted(pair for pair in pairs if pair[0] != pair[1]):
        quotes = [said(f"{rows[source].name} of {rows[target].name}")]
        links.append(ViewEdge(source, target, draw.choice(KINDS), 1, quotes, [quotes[0].where.document_id]))
    return ViewGraph(shown, links, names, nodes, len(links))
