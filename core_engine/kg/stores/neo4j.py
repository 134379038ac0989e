"""The graph in Neo4j, in the shape that neo4j-graphrag's retrievers read."""

from __future__ import annotations

import asyncio
import logging
import re
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, LiteralString
from urllib.parse import urlsplit

import orjson
from neo4j import AsyncDriver, AsyncGraphDatabase, AsyncManagedTransaction, EagerResult, NotificationMinimumSeverity
from neo4j.exceptions import AuthError, ClientError, ConfigurationError, DriverError, Neo4jError

from core_engine.errors import StoreError
from core_engine.kg.stores import cypher
from core_engine.kg.stores.dump import FIELDS, Dump, sorted_dump
from core_engine.kg.stores.text import words_of
from core_engine.pages import sized_pages
from core_engine.types import EntityRow, GraphChanges, GraphCounts, RelationshipRow, StoreMark

_OLDEST = (5, 26)
_SCHEMES = frozenset({"bolt", "bolt+s", "bolt+ssc", "neo4j", "neo4j+s", "neo4j+ssc"})
_ROWS_A_QUERY = 2000
_BYTES_A_QUERY = 8_000_000  # about: what a server must hold for one query, several times over
_IDS_A_PAGE = 10_000
_LATER = "What was paid for is in the ledger; the next run writes what is missing."

# Without a handler of its own, Python prints the driver's warnings to stderr; with one, they go where our log goes.
logging.getLogger("neo4j").addHandler(logging.NullHandler())


class Neo4jGraphStore:
    """A GraphStore in a Neo4j database (5.26 or newer), which may hold other workspaces and other people's data.

    Each apply() is one transaction, retried by the driver where that can help, and given up after `timeout_s`.
    """

    def __init__(
        self, uri: str, user: str, password: str, database: str, workspace: str, *, timeout_s: float = 300
    ) -> None:
        self.name = f"neo4j {_without_credentials(uri)}"
        self.workspace = workspace
        self._uri = uri
        self._auth = (user, password)
        self._database = database
        self._timeout_s = timeout_s
        self._driver: AsyncDriver | None = None
        self._epoch = ""
        self._types: frozenset[str] = frozenset()
        self._sizes: set[int] = set()  # of embeddings that are indexed

    def __repr__(self) -> str:
        return f"<Neo4jGraphStore {self.name}, database {self._database!r}, workspace {self.workspace!r}>"

    async def open(self) -> StoreMark:
        try:
            async with self._told():
                if self._driver is None:
                    self._driver = self._connect()
                return await self._prepare()
        except BaseException:
            await self.close()
            raise

    async def about(self) -> str:
        async with self._told():
            server = await self._open_driver.get_server_info()
            held = set((await self._read(cypher.SHOW_INDEXES)).records[0]["names"])
        missing = cypher.INDEX_NAMES - held
        indexes = f"without {', '.join(sorted(missing))}" if missing else "constraint and indexes are there"
        return f"{server.agent.replace('/', ' ')}, {indexes}"

    async def check_writable(self) -> None:
        async with (
            self._told(),
            self._open_driver.session(database=self._database) as session,
            await session.begin_transaction() as tx,
        ):
            await (await tx.run(cypher.TOUCH_MARK, workspace=self.workspace)).consume()
            await tx.rollback()

    async def begin(self, generation: int) -> None:
        async with self._told():
            marks = await self._query(cypher.SET_GENERATION, epoch=self._epoch, generation=generation)
            if not marks.records:
                raise self._exchanged()

    async def apply(self, changes: GraphChanges) -> None:
        if changes == GraphChanges():
            return
        async with self._told():
            types = self._types | {row.type for row in changes.relationships}
            steps = [step for step in cypher.steps(changes) if step.rows]
            for size in sorted({len(vector) // 4 for vector in changes.embeddings.values() if vector} - self._sizes):
                for query in cypher.vector_indexes(size):
                    await self._index(query)
                self._sizes.add(size)
            bookmarks = self._open_driver.execute_query_bookmark_manager
            async with self._open_driver.session(database=self._database, bookmark_manager=bookmarks) as session:
                await session.execute_write(self._write, steps, types)
            self._types = types

    async def counts(self) -> GraphCounts:
        async with self._told():
            (counts,) = (await self._read(cypher.COUNTS)).records
            return GraphCounts(**counts.data())

    async def find_entities(self, words: str, limit: int) -> list[EntityRow]:
        """Entities of which one name or alias holds all the words, heaviest first; without words, the heaviest."""
        async with self._told():
            found = await self._read(cypher.FIND_ENTITIES, words=words_of(words), limit=limit)
            return [_entity(record.values()) for record in found.records]

    async def neighbours(self, entity_id: str, limit: int) -> list[tuple[RelationshipRow, EntityRow]]:
        async with self._told():
            found = await self._read(cypher.NEIGHBOURS, id=entity_id, limit=limit)
            rows = [record.values() for record in found.records]
            width = len(FIELDS["relationships"])
            return [(_relationship(row[:width]), _entity(row[width:])) for row in rows]

    async def dump(self) -> Dump:
        """All that the store holds of this workspace, sorted, in the same words as every other store's."""
        async with self._told():
            rows = {kind: (await self._read(query)).records for kind, query in cypher.DUMP.items()}
            return sorted_dump({kind: [_values(kind, r.values()) for r in rows[kind]] for kind in FIELDS})

    async def look(self) -> StoreMark | None:
        try:
            async with self._told():
                self._driver = self._connect()
                await self._open_driver.get_server_info()
                return await self._marked()
        except BaseException:
            await self.close()
            raise

    async def ids(self, kind: str) -> AsyncIterator[list[str]]:
        async with self._open_driver.session(database=self._database, default_access_mode="READ") as session:
            async with self._told():
                found = await session.run(cypher.IDS[kind], workspace=self.workspace)
                page = await found.fetch(_IDS_A_PAGE)
            while page:
                yield [record["id"] for record in page]
                async with self._told():
                    page = await found.fetch(_IDS_A_PAGE)

    async def read(self, kind: str, ids: Sequence[str]) -> list[dict[str, Any]]:
        async with self._told():
            found = [await self._read(query, ids=list(ids)) for query in cypher.read(kind, sorted(self._types))]
            rows = [_values(kind, record.values()) for part in found for record in part.records]
            return [dict(zip(FIELDS[kind], row, strict=True)) for row in rows]

    async def close(self) -> None:
        if self._driver is not None:
            driver, self._driver = self._driver, None
            await driver.close()

    # --- opening ---------------------------------------------------------------------------------------------------

    def _connect(self) -> AsyncDriver:
        if urlsplit(self._uri).scheme not in _SCHEMES:  # the driver takes http too, in preview and with a warning
            raise ConfigurationError("unknown scheme")
        return AsyncGraphDatabase.driver(
            self._uri,
            auth=self._auth,
            connection_timeout=15,
            connection_acquisition_timeout=60,
            notifications_min_severity=NotificationMinimumSeverity.OFF,
            telemetry_disabled=True,
            user_agent="kg-batch",
        )

    async def _prepare(self) -> StoreMark:
        # Unlike a query, this does not try again for half a minute where nobody listens.
        server = await self._open_driver.get_server_info()
        version = re.search(r"/v?(\d+)\.(\d+)", server.agent)  # Neo4j/5.26.12, Neo4j/2026.07.1
        if version is None or tuple(map(int, version.groups())) < _OLDEST:
            raise StoreError(f"{self.name} is {server.agent}: kg needs Neo4j 5.26 or newer.")
        # Looked for first, so that a user who may only read can still search.
        if (await self._read(cypher.HAS_CONSTRAINT)).records[0]["found"] == 0:
            await self._query(cypher.CONSTRAINT)
        held = (await self._read(cypher.SHOW_INDEXES)).records[0]["names"]
        if not cypher.INDEX_NAMES.issubset(held):
            for query in cypher.INDEXES:
                await self._index(query)
        mark = await self._marked()
        if mark is None:
            await self._query(cypher.MAKE_MARK, epoch=uuid.uuid4().hex)
            mark = await self._marked()
        if mark is None:
            raise self._exchanged()
        return mark

    async def _marked(self) -> StoreMark | None:
        marks = (await self._read(cypher.READ_MARK)).records
        if not marks:
            return None
        epoch, generation, types, layout = marks[0]
        if layout > cypher.LAYOUT:
            raise StoreError(
                f"{self.name} holds a graph of workspace {self.workspace!r} that a newer kg wrote (layout {layout}, this "
                f"one knows {cypher.LAYOUT}): upgrade kg, or use another --workspace."
            )
        self._epoch, self._types = epoch, frozenset(types)
        return StoreMark(epoch=epoch, generation=generation)

    # --- access ----------------------------------------------------------------------------------------------------

    @property
    def _open_driver(self) -> AsyncDriver:
        if self._driver is None:
            raise StoreError(f"The graph store {self.name} is not open.")
        return self._driver

    async def _read(self, query: LiteralString, **parameters: Any) -> EagerResult:
        return await self._query(query, routing_="r", **parameters)

    async def _query(self, query: LiteralString, **parameters: Any) -> EagerResult:
        parameters["workspace"] = self.workspace
        return await self._open_driver.execute_query(query, database_=self._database, **parameters)

    async def _index(self, query: LiteralString) -> None:
        try:
            await self._query(query)
        except ClientError as error:
            if not _forbidden(error):  # it only makes finding fast
                raise

    async def _write(self, tx: AsyncManagedTransaction, steps: Sequence[cypher.Step], types: frozenset[str]) -> None:
        mark = await (await tx.run(cypher.READ_MARK, workspace=self.workspace)).single()
        if mark is None or mark["epoch"] != self._epoch:
            raise self._exchanged()
        if types - set(mark["types"]):
            await (await tx.run(cypher.SET_TYPES, workspace=self.workspace, types=sorted(types))).consume()
        for step in steps:
            for some in _slices(step.rows):
                await self._run(tx, step, some)

    async def _run(self, tx: AsyncManagedTransaction, step: cypher.Step, rows: Sequence[Any]) -> None:
        result = await tx.run(step.query, rows=list(rows), workspace=self.workspace)
        done = [record["done"] async for record in result]
        if step.all_match and done != [len(rows)]:
            raise StoreError(
                f"{self.name} lacks nodes that the changes refer to; nothing of them was written. "
                "`kg rebuild` writes it anew from the ledger."
            )

    # --- errors ----------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _told(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._timeout_s):
                yield
        except TimeoutError as error:
            raise StoreError(f"{self.name} did not answer within {self._timeout_s:g} s. {_LATER}") from error
        except (Neo4jError, DriverError, OSError, ValueError) as error:
            raise StoreError(self._message(error)) from error

    def _message(self, error: Exception) -> str:
        """What happened and what to do; in our own words, for the server's may quote a transcript or a password."""
        code = getattr(error, "code", None) or type(error).__name__
        if isinstance(error, AuthError):
            return f"{self.name} refuses the user or the password: check NEO4J_USERNAME and NEO4J_PASSWORD. ({code})"
        if isinstance(error, ConfigurationError | ValueError):
            return f"{self.name} is no address of a Neo4j: NEO4J_URI should be like neo4j://host:7687. ({code})"
        if code.endswith("DatabaseNotFound"):
            return f"{self.name} has no database {self._database!r}: check NEO4J_DATABASE. ({code})"
        if _read_only(code):
            return (
                f"{self.name} may only be read in database {self._database!r}: make it writable, or name another by "
                f"NEO4J_DATABASE. {_LATER} ({code})"
            )
        if _forbidden(error):
            return (
                f"{self.name} does not let this user write to database {self._database!r}: it has to write nodes and "
                f"make constraints and indexes, or an administrator runs `{cypher.CONSTRAINT}` beforehand. ({code})"
            )
        if isinstance(error, DriverError | OSError):
            return f"{self.name} can't be reached: see that it runs, and check NEO4J_URI. {_LATER} ({code})"
        return f"{self.name} failed: its own log says more. {_LATER} ({code})"

    def _exchanged(self) -> StoreError:
        return StoreError(
            f"{self.name} was emptied or exchanged for another while this run wrote to it. Run again: what is missing "
            "is written then."
        )


def _slices(rows: Sequence[Any]) -> Iterator[list[Any]]:
    return sized_pages(rows, _weight, _ROWS_A_QUERY, _BYTES_A_QUERY)


def _weight(value: Any) -> int:
    """Of a row on its way, in bytes, and rather too much."""
    if isinstance(value, str):
        return len(value) * (1 if value.isascii() else 4) + 5
    if isinstance(value, dict):
        return sum(map(_weight, value.values())) + 16 * len(value)
    if isinstance(value, list):
        return sum(map(_weight, value)) if value and isinstance(value[0], str) else 9 * len(value)
    return 9


def _forbidden(error: Exception) -> bool:
    code = getattr(error, "code", None) or ""
    return "Forbidden" in code or "AccessMode" in code or _read_only(code)


def _read_only(code: str) -> bool:
    """By `server.databases.read_only` (WriteOnReadOnlyAccessDatabase), or by the state that the database is in."""
    return "ReadOnly" in code


def _without_credentials(uri: str) -> str:
    try:
        parts = urlsplit(uri)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "(unreadable address)"
    return f"{parts.scheme}://{parts.hostname}{port}"


def _relationship(values: Sequence[Any]) -> RelationshipRow:
    told = zip(FIELDS["relationships"], values, strict=True)
    # One that an older version wrote lacks what is newer, until it is written again.
    return RelationshipRow(**{name: value for name, value in told if value is not None})


def _entity(values: Sequence[Any]) -> EntityRow:
    identity, name, types, aliases, weight = values
    return EntityRow(id=identity, name=name, labels=tuple(types), aliases=tuple(aliases), weight=weight)


def _values(kind: str, values: list[Any]) -> list[Any]:
    if kind == "documents":
        values[3] = orjson.loads(values[3])
    if kind == "mentions":
        flat = values[4]
        values[4] = [list(pair) for pair in zip(flat[::2], flat[1::2], strict=True)]
    return values
