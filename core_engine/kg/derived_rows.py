"""What was derived from a chunk's answer, in the form that the ledger stores."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from core_engine.identity import digest
from core_engine.kg.derive import Derived
from core_engine.ledger import graph
from core_engine.types import EXACT, GRADES, MODALITIES


def as_rows(stale: graph.StaleChunk, derived: Derived) -> graph.DerivedChunk:
    """Derived values as the ledger stores them, with a hash by which an unchanged result is known."""
    said = [
        graph.AtomMention(
            m.atom,
            m.scope,
            _plain(m.norm),
            _plain(m.name),
            m.type,
            orjson.dumps(
                {"turns": m.turns, "offsets": m.offsets, "start": m.start, "end": m.end}
                | ({} if m.grade == EXACT else {"grade": m.grade})
            ),
        )
        for m in derived.mentions
    ]
    stated = [
        graph.AtomStatement(
            s.subject,
            s.predicate,
            s.object,
            s.turn,
            orjson.dumps(
                {
                    "quote": _plain(s.quote),
                    "offset": s.offset,
                    "speaker": s.speaker and _plain(s.speaker),
                    "start": s.start,
                    "end": s.end,
                }
            ),
            MODALITIES.index(s.modality),
            GRADES.index(s.grade),
        )
        for s in derived.statements
    ]
    return graph.DerivedChunk(
        chunk=stale.no,
        extract=stale.extract,
        hash=_hash(said, stated, derived.cooccurrences),
        dropped=dict(derived.dropped),
        graded=derived.graded,
        mentions=said,
        statements=stated,
        cooccurrences=derived.cooccurrences,
    )


def _hash(
    said: Sequence[graph.AtomMention],
    stated: Sequence[graph.AtomStatement],
    pairs: Sequence[tuple[str, str]],
) -> bytes:
    return digest(orjson.dumps([said, stated, pairs], default=bytes.decode).decode())


def _plain(text: str) -> str:
    # Neither SQLite nor JSON takes unpaired surrogates.
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
