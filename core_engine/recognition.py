"""Meets a store at the start of a run: is it the one that this ledger wrote last, and if not, what may be in it?"""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable

from core_engine.ledger import stores
from core_engine.ledger.ledger import LedgerBase
from core_engine.ledger.stores import Acquaintance, StoreState
from core_engine.ports import GraphStore, VectorStore
from core_engine.strays import sweep_graph, sweep_vectors
from core_engine.types import GraphCounts, StoreMark


async def meet_graph(ledger: LedgerBase, store: GraphStore) -> tuple[StoreState, str]:
    """Open the store and recognise it: how it stands, and what the user should know ('' if nothing)."""
    mark = await store.open()
    await store.check_writable()  # before anything is bought that could not be written

    async def held() -> bool:
        return await store.counts() != GraphCounts()

    async def sweep(db: sqlite3.Connection) -> int:
        return await sweep_graph(db, store)

    return await _meet(ledger, mark, store.name, "graph", held, sweep)


async def meet_vectors(ledger: LedgerBase, store: VectorStore) -> tuple[StoreState, str]:
    """The same for vectors."""
    mark = await store.open()

    async def held() -> bool:
        return await store.count() > 0

    async def sweep(db: sqlite3.Connection) -> int:
        return await sweep_vectors(db, store)

    return await _meet(ledger, mark, store.name, "vectors", held, sweep)


async def _meet(
    ledger: LedgerBase,
    mark: StoreMark,
    name: str,
    role: str,
    held: Callable[[], Awaitable[bool]],
    sweep: Callable[[sqlite3.Connection], Awaitable[int]],
) -> tuple[StoreState, str]:
    """A store that is not as we left it is made whole: what this ledger doesn't know goes, the rest is written anew.

    Only a server's store that this ledger never saw keeps what is in it: it may be the only copy of somebody's graph.
    """
    with ledger.reading() as db:
        known = stores.recognise(db, mark)
        something = stores.clock(db) > 0
    if known is Acquaintance.KNOWN:
        return ledger.write(stores.meet, mark, name, role), ""
    note = f"{name} does not hold this workspace's {role} yet: all of it is written" if something else ""
    if not await held():
        return ledger.write(stores.meet, mark, name, role), note
    if known is Acquaintance.NEVER_SEEN and name != "embedded":
        note = (
            f"{name} holds {role} of this workspace's name that this ledger did not write: ours is added, nothing is "
            "taken out; `kg rebuild` would, another --workspace keeps them apart"
        )
        return ledger.write(stores.meet, mark, name, role), note
    # Before it counts as met: a run that is killed in between does it again.
    with ledger.reading() as db:
        await sweep(db)
    return ledger.write(stores.meet, mark, name, role, distrusted=True), note
