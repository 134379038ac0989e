"""Asks a model about the pairs that rules can't decide: once a pair, many in a request, through the one asker."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from core_engine.errors import BadReply, KGError, ModelError, OverBudget, PassingFailure, RequestTooLarge
from core_engine.kg.resolver.names import clash, person_name
from core_engine.kg.resolver.question import RESPONSE_FORMATS, Side, read_verdicts, render, system_prompt
from core_engine.ledger import calls, pairs, questions
from core_engine.ledger.ledger import Ledger
from core_engine.ledger.pairs import Claimed, OpenPair
from core_engine.ledger.resolution import Pair, pair
from core_engine.llm.isolation import halves
from core_engine.llm.question import Question
from core_engine.pages import pages as pages_of
from core_engine.progress import Progress
from core_engine.stopping import Stop

if TYPE_CHECKING:
    from core_engine.llm.asker import Asker

log = logging.getLogger("kg.resolve")

AT_ONCE = 20  # pairs a request
MOST = 5_000  # pairs a run
_PAGE = 500  # candidates looked at by one reading
_QUOTES = 2  # of each name
_ALSO = 4


@dataclass(frozen=True, slots=True)
class Asked:
    """How many pairs were asked about in this run, and how many are left for the next at most."""

    pairs: int = 0
    left: int = 0


class PairAsker:
    """Asks about all open pairs of the ledger."""

    def __init__(
        self, ledger: Ledger, asker: Asker, run: str, spec: int, spec_hash: bytes, progress: Progress, stop: Stop
    ) -> None:
        self._ledger = ledger
        self._asker = asker
        self._run = run
        self._spec = spec
        self._spec_hash = spec_hash
        self._progress = progress
        self._stop = stop
        self._system = system_prompt()

    async def ask(self) -> Asked:
        """Ask, and store what comes. Raises what ends a run: ServiceRefused, OverBudget, Stopped."""
        wanted, left = await self._wanted()
        claimed = await self._ledger.commit(pairs.claim, self._run, self._spec, wanted)
        try:
            asking = [
                self._about(f"{self._run}-pairs-{number}", part, "first")
                for number, part in enumerate(pages_of(claimed, AT_ONCE))
            ]
            # One failing leaves the others alone: what is in flight is paid for.
            failures = [failure for failure in await asyncio.gather(*asking, return_exceptions=True) if failure]
        finally:
            await self._ledger.commit(_release, [one.question for one in claimed])
        if failures:
            raise min(failures, key=_weight)
        return Asked(len(claimed), left)

    async def _wanted(self) -> tuple[list[OpenPair], int]:
        """The pairs to ask about now, and how many more there are, of which rules may yet settle some."""
        wanted: list[OpenPair] = []
        left = 0
        after: Pair | None = pairs.FIRST
        while after is not None:
            async with self._stop.waiting():
                some, more, after = await asyncio.to_thread(self._look, after, MOST - len(wanted))
            wanted += some
            left += more
        return wanted, left

    def _look(self, after: Pair, room: int) -> tuple[list[OpenPair], int, Pair | None]:
        """The same of some candidates after that pair, and the last of them: a long reading holds up the ledger's log."""
        with self._ledger.reading() as db:
            found, last = pairs.open_pairs(db, self._spec_hash, after, _PAGE)
            rest = iter(found)
            wanted = list(islice((one for one in rest if _is_open(db, one)), room))
            return wanted, sum(1 for _ in rest), last

    async def _about(self, batch: str, part: Sequence[Claimed], purpose: str) -> None:
        """Ask about these, and about the halves of what failed; a pair that fails alone is left apart for good."""
        try:
            missing = await self._once(batch, part, purpose)
        except PassingFailure as failure:
            self._progress.left_open[failure.kind] += len(part)
            log.warning("%s; %d pairs of names stay open for the next run", failure, len(part))
            return
        except (BadReply, RequestTooLarge, OverBudget) as failure:
            if len(part) > 1:
                for half in halves(part):
                    await self._about(batch, half, "reask")
                return
            if isinstance(failure, OverBudget):
                raise
            await self._bury(part, failure.kind)
            return
        if missing and purpose == "reask" and len(part) == 1:
            await self._bury(missing, "left_out")
        elif missing and len(missing) < len(part):
            await self._about(batch, missing, "reask")
        elif missing:
            for half in halves(missing) if len(missing) > 1 else [missing]:
                await self._about(batch, half, "reask")

    async def _once(self, batch: str, part: Sequence[Claimed], purpose: str) -> list[Claimed]:
        """One request; the pairs that it gave no usable answer to."""
        user = await asyncio.to_thread(self._render, part)
        numbers = [one.question for one in part]
        if purpose == "reask":
            self._progress.reasked += 1
        answered = await self._asker.chat(Question(numbers, batch, purpose), self._system, user, RESPONSE_FORMATS)
        await self._ledger.commit(store_reply, answered.call, numbers, answered.reply.text)
        verdicts, _ = read_verdicts(answered.reply.text, len(part))
        return [one for number, one in enumerate(part, 1) if number not in verdicts]

    async def _bury(self, part: Sequence[Claimed], reason: str) -> None:
        for one in part:
            await self._ledger.commit(questions.bury, one.question, reason, None)
        log.warning("no usable answer about %d pairs of names: they stay apart (%s)", len(part), reason)

    def _render(self, part: Sequence[Claimed]) -> str:
        with self._ledger.reading() as db:
            return render([_sides(db, one.pair) for one in part])


def store_reply(db: sqlite3.Connection, call: str, numbers: Sequence[int], text: str) -> int:
    """Commit what a stored reply says of its pairs; how many answers it gave."""
    verdicts, repaired = read_verdicts(text, len(numbers))
    verdict = f"repaired: {repaired}" if repaired and verdicts else ""
    if len(verdicts) < len(numbers):
        verdict = "partial: left_out" if verdicts else "left_out"
    pairs.answer(db, call, [(numbers[number - 1], said) for number, said in sorted(verdicts.items())], verdict)
    return len(verdicts)


def parse_stored(ledger: Ledger, stored: calls.Unparsed) -> int:
    """Read a reply that a killed run had stored and never looked at (law 2)."""
    return ledger.write(store_reply, stored.call, stored.questions, stored.reply)


def _is_open(db: sqlite3.Connection, one: OpenPair) -> bool:
    """Not where rules have made them one, or know one of them as somebody whose full name is another's."""
    some = pairs.by_rules(db, one.a)
    if one.b in some:
        return False
    others = pairs.by_rules(db, one.b)
    named = [
        {atom: person_name(name) for atom in each for name, _, _ in pairs.names_of(db, [atom])[:1]}
        for each in (some, others)
    ]
    return not any(
        clash(x, y) and not pairs.is_candidate(db, pair(a, b)) for a, x in named[0].items() for b, y in named[1].items()
    )


def _sides(db: sqlite3.Connection, one: OpenPair) -> tuple[Side, Side]:
    return _side(db, one.a, one.b), _side(db, one.b, one.a)


def _side(db: sqlite3.Connection, atom: bytes, beside: bytes) -> Side:
    own = pairs.names_of(db, [atom])
    name, kind = own[0][:2] if own else ("", "")
    others = pairs.names_of(db, pairs.by_rules(db, atom) - {atom})
    also = tuple(dict.fromkeys(other for other, _, _ in others if other != name))
    return Side(name, kind, also[:_ALSO], pairs.quotes(db, atom, beside, _QUOTES))


def _release(db: sqlite3.Connection, numbers: Sequence[int]) -> None:
    db.executemany(
        "UPDATE question SET state = 0, run = NULL WHERE no = ? AND state = 1", [(number,) for number in numbers]
    )


def _weight(failure: BaseException) -> int:
    """Which of several failures is told: a mistake of ours, then a refusal, then the budget, then that it was stopped."""
    kinds = (ModelError, OverBudget, KGError)
    return next((at for at, kind in enumerate(kinds, 1) if isinstance(failure, kind)), 0)
