"""The account of a home: what all its runs have spent and reserved, in one small SQLite file that processes share.

The ledgers hold the truth; the account adds up what they hold, so that a cap for a day, a month, or several runs at
once can be asked in microseconds. Each process that spends is a *holder*: what it has spent by quarter of an hour and
persona, and what it has reserved for calls that are out. When it ends, its sums are folded into the history. When it dies, whoever
notices next settles for it by its ledger: what was answered at its cost, what was sent at its ceiling; what it had
reserved and never sent is free again. Where the ledger is gone, all it had reserved counts as spent.

A commit here is not synced to the disk, which would take longer than all the rest: after a power failure no holder is
alive, and each is settled by its ledger, which is synced. Only that a holder is there has to last, and does.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from pathlib import Path
from typing import Any, NamedTuple

from core_engine.errors import LedgerError
from core_engine.ledger import spending
from core_engine.ledger.lock import RunLock, is_held
from core_engine.ledger.tally import PICO, SLOT_S, pico
from metrics.caps import UNITS, Cap, Caps

_FILE = "_account.sqlite3"  # no workspace's name begins with _
_HOLDERS = "_holders"
_MONTH_S = 32 * 86_400
_TOLD_S = 400 * 86_400
_TRIES, _TRY_S = 100, 0.05
_SUMS = ", ".join(UNITS)
_ARE = ", ".join(f"{unit} INTEGER NOT NULL" for unit in UNITS)
_ADD = ", ".join(f"{unit} = {unit} + excluded.{unit}" for unit in UNITS)
_VERSION = 2
_TABLES = f"""
DROP TABLE IF EXISTS folded;
DROP TABLE IF EXISTS folds;
DROP TABLE IF EXISTS holder;
DROP TABLE IF EXISTS spent;
CREATE TABLE folded (
    slot INTEGER NOT NULL, workspace TEXT NOT NULL, persona TEXT NOT NULL, {_ARE},
    PRIMARY KEY (slot, workspace, persona)
) WITHOUT ROWID;
CREATE TABLE folds (count INTEGER NOT NULL);
INSERT INTO folds VALUES (0);
CREATE TABLE holder (
    id TEXT PRIMARY KEY, workspace TEXT NOT NULL, persona TEXT NOT NULL, run TEXT NOT NULL, since REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE held (
    holder TEXT NOT NULL, persona TEXT NOT NULL, {_ARE}, PRIMARY KEY (holder, persona)
) WITHOUT ROWID;
CREATE TABLE spent (
    holder TEXT NOT NULL, slot INTEGER NOT NULL, persona TEXT NOT NULL, {_ARE}, PRIMARY KEY (holder, slot, persona)
) WITHOUT ROWID;
CREATE TABLE told (
    cap TEXT NOT NULL, since INTEGER NOT NULL, percent INTEGER NOT NULL, PRIMARY KEY (cap, since, percent)
) WITHOUT ROWID;
PRAGMA user_version = {_VERSION};
"""


@dataclass(frozen=True, slots=True)
class Amount:
    """Dollars, tokens and chunks together."""

    dollars: Decimal = Decimal(0)
    tokens: int = 0
    chunks: int = 0

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.dollars + other.dollars, self.tokens + other.tokens, self.chunks + other.chunks)

    def __neg__(self) -> Amount:
        return Amount(-self.dollars, -self.tokens, -self.chunks)

    def of(self, unit: str) -> Decimal:
        return Decimal(getattr(self, unit))


@dataclass(frozen=True, slots=True)
class Standing:
    """How a cap stands: spent and reserved in its period, by everyone; `others_hold` says that others reserved some."""

    cap: Cap
    spent: Decimal
    held: Decimal
    others_hold: bool = False

    @property
    def left(self) -> Decimal:
        return max(self.cap.amount - self.spent - self.held, Decimal(0))

    @property
    def percent(self) -> float:
        """Of the cap that is spent."""
        return float(100 * self.spent / self.cap.amount)


class Account:
    """The account as one run sees it. Close it when the run ends. Raises LedgerError where the file can't be used."""

    def __init__(
        self, home: Path, workspace: str, persona: str | None, run: str, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._home = home
        self._workspace, self._persona = workspace, persona or ""
        self._run = run
        self._clock = clock
        self._id = uuid.uuid4().hex
        self._folded: dict[tuple[str, str, int, int], _Whole] = {}
        self._folds = -1
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = home / _FILE
        with self._explained():
            self._db = sqlite3.connect(_made(self._path), isolation_level=None, check_same_thread=False, timeout=30)
        self._lock = RunLock(self._lock_path(self._id))
        try:
            with self._explained():
                self._join()
        except BaseException:
            self._leave()
            raise

    # --- what a run does --------------------------------------------------------------------------------------------

    def reserve(self, amount: Amount, caps: Caps, persona: str | None = None) -> Standing | None:
        """Reserve, unless one of the caps of days and months could be crossed: then that cap's standing."""
        payer = self._payer(persona)
        with self._explained(), self._transaction():
            for standing in self._standings(caps, payer):
                if standing.cap.hard and standing.left < amount.of(standing.cap.unit):
                    return standing
            self._hold(_whole_above(amount), payer)
        return None

    def settle(self, reserved: Amount, spent: Amount, persona: str | None = None) -> None:
        """Turn what was reserved into what was spent, now."""
        payer = self._payer(persona)
        with self._explained(), self._transaction():
            self._hold(tuple(-one for one in _whole_above(reserved)), payer)
            self._add(self._id, self._clock(), payer, _whole(spent))

    def correct(self, at: float, amount: Amount, persona: str | None = None) -> None:
        """Count so much more (or less) as spent at a time that has passed."""
        with self._explained(), self._transaction():
            self._add(self._id, at, self._payer(persona), _whole(amount))

    def standings(self, caps: Caps) -> list[Standing]:
        """How the caps of days and months stand now."""
        # In one transaction: a run that ends between two queries would be counted twice, as live and as history.
        with self._explained(), self._transaction("BEGIN"):
            return list(self._standings(caps))

    def is_news(self, cap: Cap, since: float, percent: int) -> bool:
        """Whether nobody has told yet that so much of a cap is spent, in the period that began then: now somebody has."""
        with self._explained(), self._transaction():
            self._db.execute("DELETE FROM told WHERE since < ?", (int(since) - _TOLD_S,))
            return bool(
                self._db.execute(
                    "INSERT OR IGNORE INTO told (cap, since, percent) VALUES (?, ?, ?)", (cap.key, int(since), percent)
                ).rowcount
            )

    def settle_for_the_dead(self) -> None:
        """Settle for processes that ended without a word: what they had reserved may be free again."""
        with self._explained(), self._transaction():
            self._settle_for_the_dead()

    def close(self) -> None:
        """Fold this run's sums into the history. What is still reserved counts as spent: nobody will settle it."""
        try:
            with self._explained(), self._transaction():
                for persona, *held in self._held(self._id):
                    self._add(self._id, self._clock(), persona, held)
                self._fold(self._id)
        finally:
            self._leave()

    # --- adding up --------------------------------------------------------------------------------------------------

    def _standings(self, caps: Caps, payer: str | None = None) -> Iterator[Standing]:
        """Of all caps, or of those that bind a payer."""
        shared = [cap for cap in caps.caps if cap.period != "run" and (payer is None or cap.binds(payer))]
        if not shared:
            return
        now = self._clock()
        live = self._live()
        for cap in shared:
            first, after = (round(moment) // SLOT_S for moment in caps.span(cap.period, now))
            at = UNITS.index(cap.unit)
            mine = [row for row in live if not cap.scope or cap.name == getattr(row, cap.scope)]
            spent = sum(row.amount[at] for row in mine if row.slot is not None and first <= row.slot < after)
            spent += self._history(cap, first, after)[at]
            held = {row.holder: 0 for row in mine}
            for row in mine:
                held[row.holder] += row.amount[at] if row.slot is None else 0
            others = any(amount for holder, amount in held.items() if holder != self._id)
            yield Standing(cap, _amount(spent, cap.unit), _amount(sum(held.values()), cap.unit), others)

    def _live(self) -> list[_Live]:
        """What the holders have spent, by slot, and what they have reserved."""
        return [
            _Live(holder, workspace, persona, slot, tuple(amount))
            for holder, workspace, persona, slot, *amount in self._db.execute(
                f"SELECT h.id, h.workspace, s.persona, s.slot, {_SUMS} FROM holder h JOIN spent s ON s.holder = h.id "
                f"UNION ALL SELECT h.id, h.workspace, d.persona, NULL, {_SUMS} FROM holder h JOIN held d ON d.holder = h.id"
            )
        ]

    def _history(self, cap: Cap, first: int, after: int) -> _Whole:
        """Of those who have ended; added up again only when another one has."""
        folds = self._db.execute("SELECT count FROM folds").fetchone()[0]
        if folds != self._folds:
            self._folds = folds
            self._folded.clear()
        key = cap.scope, cap.name, first, after
        if key not in self._folded:
            column = cap.scope or "''"
            sums = ", ".join(f"coalesce(sum({unit}), 0)" for unit in UNITS)
            self._folded[key] = self._db.execute(
                f"SELECT {sums} FROM folded WHERE slot >= ? AND slot < ? AND {column} = ?", (first, after, cap.name)
            ).fetchone()
        return self._folded[key]

    def _payer(self, persona: str | None) -> str:
        return self._persona if persona is None else persona

    def _hold(self, amount: Sequence[int], persona: str) -> None:
        self._db.execute(
            f"INSERT INTO held (holder, persona, {_SUMS}) VALUES ({_MARKS}) "
            f"ON CONFLICT (holder, persona) DO UPDATE SET {_ADD}",
            (self._id, persona, *amount),
        )

    def _held(self, holder: str) -> list[tuple[Any, ...]]:
        """Personas, and what is reserved for each."""
        return self._db.execute(f"SELECT persona, {_SUMS} FROM held WHERE holder = ?", (holder,)).fetchall()

    def _add(self, holder: str, at: float, persona: str, amount: Sequence[int]) -> None:
        self._db.execute(
            f"INSERT INTO spent (holder, slot, persona, {_SUMS}) VALUES (?, {_MARKS}) "
            f"ON CONFLICT (holder, slot, persona) DO UPDATE SET {_ADD}",
            (holder, int(at // SLOT_S), persona, *amount),
        )

    def _fold(self, holder: str) -> None:
        self._db.execute(
            f"INSERT INTO folded (slot, workspace, persona, {_SUMS}) "
            f"SELECT s.slot, h.workspace, s.persona, {_SUMS} FROM spent s JOIN holder h ON h.id = s.holder "
            f"WHERE h.id = ? ON CONFLICT (slot, workspace, persona) DO UPDATE SET {_ADD}",
            (holder,),
        )
        for table, column in (("spent", "holder"), ("held", "holder"), ("holder", "id")):
            self._db.execute(f"DELETE FROM {table} WHERE {column} = ?", (holder,))
        self._db.execute("UPDATE folds SET count = count + 1")

    # --- beginnings and ends ----------------------------------------------------------------------------------------

    def _join(self) -> None:
        self._write_ahead()
        self._begin_tables()
        self._db.execute("PRAGMA synchronous = FULL")
        with self._transaction():
            self._settle_for_the_dead()
            self._db.execute(
                "INSERT INTO holder (id, workspace, persona, run, since) VALUES (?,?,?,?,?)",
                (self._id, self._workspace, self._persona, self._run, self._clock()),
            )
        self._db.execute("PRAGMA synchronous = NORMAL")

    def _write_ahead(self) -> None:
        """SQLite doesn't wait for others where several switch a new file over at once: so we do."""
        for _ in range(_TRIES):
            with contextlib.suppress(sqlite3.OperationalError):
                self._db.execute("PRAGMA journal_mode = WAL")
                return
            time.sleep(_TRY_S)
        self._db.execute("PRAGMA journal_mode = WAL")

    def _leave(self) -> None:
        self._db.close()
        self._lock.release()
        self._lock_path(self._id).unlink(missing_ok=True)

    def _begin_tables(self) -> None:
        """In a new file, all that the home's ledgers know of the last month stands in the history."""
        if self._db.execute("PRAGMA user_version").fetchone()[0] == _VERSION:
            return
        with self._transaction():
            if self._db.execute("PRAGMA user_version").fetchone()[0] == _VERSION:
                return
            for statement in _TABLES.split(";\n"):
                if statement.strip():
                    self._db.execute(statement)
            since = self._clock() - _MONTH_S
            for ledger in sorted(self._home.glob("*/ledger.sqlite3")):
                self._enter(ledger.parent.name, spending.of_all(ledger, since) or ())

    def _enter(self, workspace: str, spent: Sequence[spending.Spent]) -> None:
        self._db.executemany(
            f"INSERT INTO folded (slot, workspace, persona, {_SUMS}) VALUES (?, {_MARKS}) "
            f"ON CONFLICT (slot, workspace, persona) DO UPDATE SET {_ADD}",
            [(int(each.at // SLOT_S), workspace, each.persona, *_whole(_of(each))) for each in spent],
        )
        self._db.execute("UPDATE folds SET count = count + 1")

    def _settle_for_the_dead(self) -> None:
        rows = self._db.execute("SELECT id, workspace, run, since FROM holder WHERE id != ?", (self._id,)).fetchall()
        for identity, workspace, run, since in rows:
            if not self._is_dead(identity):
                continue
            calls = spending.of_run(self._home / workspace / "ledger.sqlite3", run, since)
            if calls is None:
                for persona, *held in self._held(identity):
                    self._add(identity, self._clock(), persona, held)
            else:
                self._db.execute("DELETE FROM spent WHERE holder = ?", (identity,))
                for each in calls:
                    self._add(identity, each.at, each.persona, _whole(_of(each)))
            self._fold(identity)

    def _is_dead(self, holder: str) -> bool:
        path = self._lock_path(holder)
        if is_held(path):
            return False
        path.unlink(missing_ok=True)
        return True

    def _lock_path(self, holder: str) -> Path:
        return self._home / _HOLDERS / holder

    # --- the file ---------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _transaction(self, begin: str = "BEGIN IMMEDIATE") -> Iterator[None]:
        self._db.execute(begin)
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise LedgerError(
                f"account {self._path}: {error}: nothing more is spent without it. Free some space, or make the folder "
                "writable; a damaged file may be moved away: a new one is made from the ledgers"
            ) from error


class _Live(NamedTuple):
    """What a holder has spent in a slot for a persona; without a slot, what it has reserved."""

    holder: str
    workspace: str
    persona: str
    slot: int | None
    amount: _Whole


_Whole = tuple[int, ...]  # by unit
_MARKS = ", ".join("?" * (2 + len(UNITS)))


def _of(each: spending.Spent) -> Amount:
    return Amount(each.dollars, each.tokens, each.chunks)


def _whole(amount: Amount) -> _Whole:
    return pico(amount.dollars), amount.tokens, amount.chunks


def _whole_above(amount: Amount) -> _Whole:
    return int((amount.dollars * PICO).to_integral_value(ROUND_CEILING)), amount.tokens, amount.chunks


def _amount(whole: int, unit: str) -> Decimal:
    return Decimal(whole) / PICO if unit == "dollars" else Decimal(whole)


def _made(path: Path) -> Path:
    """The file, for its owner alone."""
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    return path
