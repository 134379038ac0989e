"""Who is said to be whom in a conversation: "my name is Gail", "this is Wei", "our guest is Desmond Achebe-Cole"."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from core_engine.kg.normalise import normal_form
from core_engine.ledger.resolution import Said
from core_engine.types import ChunkTurn

_TITLE: Final = r"(?:(?:dr|mr|mrs|ms|prof|professor|inspector|judge|captain|senator|sir|madam)\.?\s+)?"
_SELF: Final = re.compile(
    rf"\b(?:I['’]m|I am|my name is|my name['’]s|(?:you can |please |just )?call me)\s+{_TITLE}$",  # noqa: RUF001
    re.IGNORECASE,
)
_THIS: Final = re.compile(
    rf"^(?:(?:hi|hello|hey|good (?:morning|afternoon|evening)|yes|yeah|so|okay|ok|um|uh)\b[^.?!]*[.,!]?\s+)?this is\s+{_TITLE}$",
    re.IGNORECASE,
)
_GREETING: Final = re.compile(r"^\W*(?:(?:hi|hello|hey|yes|yeah|so|and)\W+)?$", re.IGNORECASE)
_HERE: Final = re.compile(r"^,?\s+(?:here|speaking)\b", re.IGNORECASE)
_NOT_ME: Final = re.compile(r"^['’]s\b|^\s+(?:who|said|says|told|and I)\b", re.IGNORECASE)  # noqa: RUF001
_BEFORE_ADDRESS: Final = re.compile(r"(?:^|[,.?!]\s*(?:and\s+)?)\W*$")
_AFTER_ADDRESS: Final = re.compile(r"^\s*(?:[,.?!]|$)")
_CUE: Final = 60  # characters before a name that are looked at


@dataclass(frozen=True, slots=True)
class Naming:
    """A name in a turn, with the words around it, and who speaks in the turns around it (normal forms; '' for nobody)."""

    atom: bytes
    before: str
    after: str
    first: bool  # the speaker has not spoken before
    speaker: str
    last_speaker: str
    next_speaker: str
    next_is_new: bool


def namings(
    said: Sequence[Said], turns: Mapping[int, Sequence[ChunkTurn]], first: Mapping[str, tuple[int, int]]
) -> Iterator[Naming]:
    """Each place where one of these atoms is named. `turns` by chunk; `first` is where (chunk's place, turn) each speaks
    for the first time. Who speaks in the next chunk is not looked at.
    """
    spoken = {chunk: [number for number, turn in enumerate(some, 1) if turn.text] for chunk, some in turns.items()}
    for one in said:
        some = turns.get(one.chunk, ())
        order = spoken.get(one.chunk, [])
        for number, offset in one.offsets:
            if number not in order:
                continue
            at = order.index(number)
            before, after = order[at - 1] if at else 0, order[at + 1] if at + 1 < len(order) else 0
            speaker, last, coming = (
                normal_form(some[n - 1].speaker or "") if n else "" for n in (number, before, after)
            )
            raw = some[number - 1].raw
            end = offset + len(one.name)
            yield Naming(
                one.atom,
                raw[:offset] if offset <= _CUE else "…" + raw[offset - _CUE : offset],
                raw[end : end + _CUE],
                first.get(speaker) == (one.seq, number),
                speaker,
                last,
                coming,
                bool(coming) and first.get(coming) == (one.seq, after),
            )


def says_own_name(naming: Naming) -> bool:
    """Whether the speaker of the turn is the one who is named."""
    if not naming.speaker or _NOT_ME.match(naming.after):
        return False
    if _SELF.search(naming.before):
        return True
    if _HERE.match(naming.after) and _GREETING.match(naming.before):
        return True
    return naming.first and bool(_THIS.match(naming.before))


def addresses(naming: Naming) -> bool:
    """Whether somebody is spoken to by the name: it stands between commas, or alone."""
    return bool(_BEFORE_ADDRESS.search(naming.before)) and bool(_AFTER_ADDRESS.match(naming.after))
