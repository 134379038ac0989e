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


def namings(said: Sequence[Said], turns: Mapping[int, Sequence[ChunkTurn]]) -> Iterator[Naming]:
    """Each place of a document where one of these atoms is named."""
    order = [(chunk, number) for chunk, some in turns.items() for number, turn in enumerate(some, 1) if turn.text]
    speakers = [normal_form(turns[chunk][number - 1].speaker or "") for chunk, number in order]
    at = {place: index for index, place in enumerate(order)}
    first_turn: dict[str, int] = {}
    for turn, speaker in enumerate(speakers):
        first_turn.setdefault(speaker, turn)
    for one in said:
        for number, offset in one.offsets:
            if (one.chunk, number) not in at:
                continue
            index = at[one.chunk, number]
            raw = turns[one.chunk][number - 1].raw
            following = speakers[index + 1] if index + 1 < len(speakers) else ""
            yield Naming(
                one.atom,
                raw[max(offset - _CUE, 0) : offset] if offset > _CUE else raw[:offset],
                raw[offset + len(one.name) : offset + len(one.name) + _CUE],
                first_turn[speakers[index]] == index,
                speakers[index],
                speakers[index - 1] if index else "",
                following,
                bool(following) and first_turn[following] == index + 1,
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
