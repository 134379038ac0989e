"""What a provider takes from the limit of tokens for a request: the longest reply it may give, or what it used."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from core_engine.limits.headers import told

log = logging.getLogger(__name__)

_BY_CEILING = ("api.openai.com", ".openai.azure.com")
_NEAR = 0.05
_REQUESTED = re.compile(r"\bRequested (\d{1,9})\b")
_CHARACTERS_A_TOKEN = 4


@dataclass(frozen=True, slots=True)
class Size:
    """A request as a limit may count it: characters of its texts, tokens of prompt and expected reply, output ceiling."""

    characters: int
    prompt: int
    expected: int = 0
    ceiling: int = 0

    @property
    def used(self) -> int:
        return self.prompt + self.expected

    @property
    def at_ceiling(self) -> int:
        return max(self.ceiling, -(-self.characters // _CHARACTERS_A_TOKEN))


class Charge:
    """How one endpoint counts.

    OpenAI takes the larger of the output ceiling and a quarter of the characters, when the request comes; others take
    the usage. Until it is known that a server does not do as OpenAI, the larger is reserved: right after a request its
    ceiling would be gone of the limit, so a reply whose headers show less gone settles it. A refusal may also say what
    it would have charged ("Requested 14000").
    """

    def __init__(self, endpoint: str, *, replies: bool = True) -> None:
        """`replies` of False: nothing is written in answer, as with embeddings, so usage is all there is."""
        self._name = urlsplit(endpoint).hostname or "the endpoint"
        self.openai = self._name.endswith(_BY_CEILING)
        self._known = self.openai or not replies
        self.by_ceiling: bool | None = (self.openai and replies) if self._known else None

    def amount(self, size: Size) -> int:
        """Tokens to reserve."""
        if self.by_ceiling is None:
            return max(size.used, size.at_ceiling)
        return size.at_ceiling if self.by_ceiling else size.used

    def to_settle(self, used: int | None) -> int | None:
        """What to settle a reservation with, given a reply's usage: None keeps it."""
        return used if self.by_ceiling is False else None

    def unheard(self, headers: Mapping[str, str], size: Size) -> int | None:
        """What to settle a reservation with whose request was refused for what it says (a 400), before it was worked on.

        OpenAI says that unsuccessful requests count, and a request it stays; but tokens are taken by what would be
        generated, and there was nothing to generate. If the headers show that they are gone, they are.
        """
        gone = told(headers, "tokens").gone
        return None if gone is not None and gone >= (1 - _NEAR) * self.amount(size) else 0

    def replied(self, headers: Mapping[str, str], size: Size) -> None:
        """Learn from a reply to a request of this size."""
        if self._known or self.by_ceiling is False:
            return
        gone = told(headers, "tokens").gone
        if gone is None:
            self.by_ceiling = self.by_ceiling or False  # it says nothing: as most servers do, until a refusal tells
        elif gone < (1 - _NEAR) * size.at_ceiling:
            self.by_ceiling = False

    def refused(self, message: str, size: Size) -> None:
        """Learn from the words of a refusal."""
        requested = _REQUESTED.search(message)
        if (
            requested
            and not self._known
            and not self.by_ceiling
            and abs(int(requested[1]) - size.at_ceiling) <= _NEAR * size.at_ceiling
        ):
            self.by_ceiling = True
            log.info("%s counts the longest reply that a request allows against the limit of tokens", self._name)
