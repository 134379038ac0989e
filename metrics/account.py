"""The account of a home: what all its runs have spent and reserved, in one small SQLite file that processes share.

The ledgers hold the truth; the account adds up what they hold, so that a cap for a day, a month, or several runs at
once can be asked in microseconds. Each process that spends is a *holder*: what it has spent by quarter of an hour, and
what it has reserved for calls that are out. When it ends, its sums are folded into the history. When it dies, whoever
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

from core_engine.errors import LedgerError
from core_engine.ledger import spending
from core_engine.ledger.lock import RunLock, is_held
from metrics.caps import Cap, Caps

_FILE = "_account.sqlite3"  # no workspace's name begins with _
_HOLDERS = "_holders"
_SLOT_S = 900  # all time zones of today differ by quarters of an hour
_MONTH_S = 32 * 86_400
_TRIES, _TRY_S = 100, 0.05
_PICO = 10**12  # money is kept in whole trillionths of a dollar, so that sums are exact
_TABLES = """
CREATE TABLE folded (
    slot INTEGER NOT NULL, workspace TEXT NOT NULL, persona TEXT NOT NULL, dollars INTEGER NOT NULL,
    tokens INTEGER NOT NULL, PRIMARY KEY (slot, workspace, persona)
) WITHOUT ROWID;
CREATE TABLE folds (count INTEGER NOT NULL);
INSERT INTO folds VALUES (0);
CREATE TABLE holder (
    id TEXT PRIMARY KEY, workspace TEXT NOT NULL, persona TEXT NOT NULL, run TEXT NOT NULL, since REAL NOT NULL,
    held_dollars INTEGER NOT NULL DEFAULT 0, held_tokens INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE spent (
    holder TEXT NOT NULL, slot INTEGER NOT NULL, dollars INTEGER NOT NULL, tokens INTEGER NOT NULL,
    PRIMARY KEY (holder, slot)
) WITHOUT ROWID;
PRAGMA user_version = 1;
"""


@dataclass(frozen=True, slots=True)
class Amount:
    """Dollars and tokens together."""

    dollars: Decimal = Decimal(0)
    tokens: int = 0

    def of(self, unit: str) -> Decimal:
        return self.dollars if unit == "dollars" else Decimal(self.tokens)


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


class Account:
    """The account as one run sees it. Close it when the run ends. Raises LedgerError where the file can't be used."""

    def __init__(
        self, home: Path, workspace: str, persona: str | None, run: str, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._home = home
        self._who = workspace, persona or ""
        self._run = run
        self._clock = clock
        self._id = uuid.uuid4().hex
        self._folded: dict[tuple[str, str, int, int], tuple[int, int]] = {}
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

    def reserve(self, amount: Amount, caps: Caps) -> Standing | None:
        """Reserve, unless one of the caps of days and months could be crossed: then that cap's standing."""
        dollars, tokens = _pico_above(amount.dollars), amount.tokens
        with self._explained(), self._transaction():
            for standing in self._standings(caps):
                if standing.left < amount.of(standing.cap.unit):
                    return standing
            self._db.execute(
                "UPDATE holder SET held_dollars = held_dollars + ?, held_tokens = held_tokens + ? WHERE id = ?",
                (dollars, tokens, self._id),
            )
        return None

    def settle(self, reserved: Amount, spent: Amount) -> None:
        """Turn what was reserved into what was spent, now."""
        with self._explained(), self._transaction():
            self._db.execute(
                "UPDATE holder SET held_dollars = held_dollars - ?, held_tokens = held_tokens - ? WHERE id = ?",
                (_pico_above(reserved.dollars), reserved.tokens, self._id),
            )
            self._add(self._id, self._clock(), _pico(spent.dollars), spent.tokens)

    def correct(self, at: float, amount: Amount) -> None:
        """Count so much more (or less) as spent at a time that has passed."""
        with self._explained(), self._transaction():
            self._add(self._id, at, _pico(amount.dollars), amount.tokens)

    def standings(self, caps: Caps) -> list[Standing]:
        """How the caps of days and months stand now."""
        # In one transaction: a run that ends between two queries would be counted twice, as live and as history.
        with self._explained(), self._transaction("BEGIN"):
            return list(self._standings(caps))

    def settle_for_the_dead(self) -> None:
        """Settle for processes that ended without a word: what they had reserved may be free again."""
        with self._explained(), self._transaction():
            self._settle_for_the_dead()

    def close(self) -> None:
        """Fold this run's sums into the history. What is still reserved counts as spent: nobody will settle it."""
        try:
            with self._explained(), self._transaction():
                held = self._db.execute(
                    "SELECT held_dollars, held_tokens FROM holder WHERE id = ?", (self._id,)
                ).fetchone()
                if any(held):
                    self._add(self._id, self._clock(), *held)
                self._fold(self._id)
        finally:
            self._leave()

    # --- adding up --------------------------------------------------------------------------------------------------

    def _standings(self, caps: Caps) -> Iterator[Standing]:
        shared = [cap for cap in caps.caps if cap.period != "run"]
        if not shared:
            return
        now = self._clock()
        live = self._live()
        for cap in shared:
            first, after = (round(moment) // _SLOT_S for moment in caps.span(cap.period, now))
            mine = [row for row in live if _is_of(cap, row.workspace, row.persona)]
            spent = sum(row.spent(cap.unit, first, after) for row in mine)
            spent += self._history(cap, first, after)[cap.unit == "tokens"]
            held = sum(row.held(cap.unit) for row in mine)
            others = any(row.held(cap.unit) for row in mine if row.id != self._id)
            yield Standing(cap, _amount(spent, cap.unit), _amount(held, cap.unit), others)

    def _live(self) -> list[_Live]:
        rows: dict[str, _Live] = {}
        for identity, workspace, persona, dollars, tokens, slot, spent_dollars, spent_tokens in self._db.execute(
            "SELECT h.id, h.workspace, h.persona, h.held_dollars, h.held_tokens, s.slot, s.dollars, s.tokens "
            "FROM holder h LEFT JOIN spent s ON s.holder = h.id"
        ):
            row = rows.setdefault(identity, _Live(identity, workspace, persona, (dollars, tokens), []))
            if slot is not None:
                row.slots.append((slot, spent_dollars, spent_tokens))
        return list(rows.values())

    def _history(self, cap: Cap, first: int, after: int) -> tuple[int, int]:
        """Dollars and tokens of those who have ended; added up again only when another one has."""
        folds = self._db.execute("SELECT count FROM folds").fetchone()[0]
        if folds != self._folds:
            self._folds = folds
            self._folded.clear()
        key = cap.scope, cap.name, first, after
        if key not in self._folded:
            column = cap.scope or "''"
            self._folded[key] = self._db.execute(
                f"SELECT coalesce(sum(dollars), 0), coalesce(sum(tokens), 0) FROM folded "
                f"WHERE slot >= ? AND slot < ? AND {column} = ?",
                (first, after, cap.name),
            ).fetchone()
        return self._folded[key]

    def _add(self, holder: str, at: float, dollars: int, tokens: int) -> None:
        self._db.execute(
            "INSERT INTO spent (holder, slot, dollars, tokens) VALUES (?, ?, ?, ?) ON CONFLICT (holder, slot) "
            "DO UPDATE SET dollars = dollars + excluded.dollars, tokens = tokens + excluded.tokens",
            (holder, int(at // _SLOT_S), dollars, tokens),
        )

    def _fold(self, holder: str) -> None:
        self._db.execute(
            "INSERT INTO folded (slot, workspace, persona, dollars, tokens) "
            "SELECT s.slot, h.workspace, h.persona, s.dollars, s.tokens FROM spent s JOIN holder h ON h.id = s.holder "
            "WHERE h.id = ? ON CONFLICT (slot, workspace, persona) "
            "DO UPDATE SET dollars = dollars + excluded.dollars, tokens = tokens + excluded.tokens",
            (holder,),
        )
        self._db.execute("DELETE FROM spent WHERE holder = ?", (holder,))
        self._db.execute("DELETE FROM holder WHERE id = ?", (holder,))
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
                (self._id, *self._who, self._run, self._clock()),
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
        if self._db.execute("PRAGMA user_version").fetchone()[0]:
            return
        with self._transaction():
            if self._db.execute("PRAGMA user_version").fetchone()[0]:
                return
            for statement in _TABLES.split(";\n"):
                if statement.strip():
                    self._db.execute(statement)
            since = self._clock() - _MONTH_S
            for ledger in sorted(self._home.glob("*/ledger.sqlite3")):
                self._enter(ledger.parent.name, spending.of_all(ledger, since) or ())

    def _enter(self, workspace: str, spent: Sequence[spending.Spent]) -> None:
        self._db.executemany(
            "INSERT INTO folded (slot, workspace, persona, dollars, tokens) VALUES (?,?,?,?,?) "
            "ON CONFLICT (slot, workspace, persona) "
            "DO UPDATE SET dollars = dollars + excluded.dollars, tokens = tokens + excluded.tokens",
            [(int(each.at // _SLOT_S), workspace, each.persona, _pico(each.dollars), each.tokens) for each in spent],
        )
        self._db.execute("UPDATE folds SET count = count + 1")

    def _settle_for_the_dead(self) -> None:
        rows = self._db.execute(
            "SELECT id, workspace, run, since, held_dollars, held_tokens FROM holder WHERE id != ?", (self._id,)
        ).fetchall()
        for identity, workspace, run, since, *held in rows:
            if not self._is_dead(identity):
                continue
            calls = spending.of_run(self._home / workspace / "ledger.sqlite3", run, since)
            if calls is None:
                self._add(identity, self._clock(), *held)
            else:
                self._db.execute("DELETE FROM spent WHERE holder = ?", (identity,))
                for each in calls:
                    self._add(identity, each.at, _pico(each.dollars), each.tokens)
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


@dataclass(frozen=True, slots=True)
class _Live:
    """A holder: what it has reserved (dollars, tokens), and spent by slot (slot, dollars, tokens)."""

    id: str
    workspace: str
    persona: str
    reserved: tuple[int, int]
    slots: list[tuple[int, int, int]]

    def held(self, unit: str) -> int:
        return self.reserved[unit == "tokens"]

    def spent(self, unit: str, first: int, after: int) -> int:
        at = 2 if unit == "tokens" else 1
        return sum(slot[at] for slot in self.slots if first <= slot[0] < after)


def _is_of(cap: Cap, workspace: str, persona: str) -> bool:
    return not cap.scope or cap.name == (workspace if cap.scope == "workspace" else persona)


def _pico(dollars: Decimal) -> int:
    return int((dollars * _PICO).to_integral_value())


def _pico_above(dollars: Decimal) -> int:
    return int((dollars * _PICO).to_integral_value(ROUND_CEILING))


def _amount(whole: int, unit: str) -> Decimal:
    return Decimal(whole) / _PICO if unit == "dollars" else Decimal(whole)


def _made(path: Path) -> Path:
    """The file, for its owner alone."""
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    return path
