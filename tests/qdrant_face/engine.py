"""Collections and aliases as the REST API shows them, each collection a Qdrant Edge shard."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import qdrant_edge as edge

Json = dict[str, Any]


class Refused(Exception):
    """A request that Qdrant would not serve: the HTTP status and Qdrant's own words."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


@dataclass
class Collection:
    shard: edge.EdgeShard
    params: Json
    indexed: dict[str, str] = field(default_factory=dict)


class Engine:
    """Not safe for threads: the server calls it under a lock."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made = 0
        self.collections: dict[str, Collection] = {}
        self.aliases: dict[str, str] = {}

    def _get(self, name: str) -> Collection:
        try:
            return self.collections[self.aliases.get(name, name)]
        except KeyError:
            raise Refused(404, f"Not found: Collection `{name}` doesn't exist!") from None

    # --- collections --------------------------------------------------------------------------------------------

    def exists(self, name: str) -> Json:
        return {"exists": name in self.collections}

    def create(self, name: str, body: Json) -> bool:
        if name in self.collections or name in self.aliases:
            raise Refused(409, f"Wrong input: Collection `{name}` already exists!")
        params = {"vectors": body.get("vectors") or {}, "sparse_vectors": body.get("sparse_vectors") or {}}
        dense = {
            key: edge.EdgeVectorParams(int(value["size"]), getattr(edge.Distance, value["distance"]))
            for key, value in params["vectors"].items()
        }
        sparse = {
            key: edge.EdgeSparseVectorParams(modifier=edge.Modifier.Idf if value.get("modifier") == "idf" else None)
            for key, value in params["sparse_vectors"].items()
        }
        self._made += 1
        path = self._folder / str(self._made)
        shard = edge.EdgeShard.create(str(path), edge.EdgeConfig(vectors=dense or None, sparse_vectors=sparse or None))
        self.collections[name] = Collection(shard, params)
        return True

    def all_collections(self) -> Json:
        return {"collections": [{"name": name} for name in sorted(self.collections)]}

    def describe(self, name: str) -> Json:
        collection = self._get(name)
        return {
            "status": "green",
            "optimizer_status": "ok",
            "points_count": collection.shard.count(edge.CountRequest()),
            "indexed_vectors_count": 0,
            "segments_count": collection.shard.info().segments_count,
            "config": {
                "params": collection.params,
                "hnsw_config": {"m": 16, "ef_construct": 100, "full_scan_threshold": 10000},
                "optimizer_config": {
                    "deleted_threshold": 0.2,
                    "vacuum_min_vector_number": 1000,
                    "default_segment_number": 0,
                    "flush_interval_sec": 5,
                },
                "wal_config": {"wal_capacity_mb": 32, "wal_segments_ahead": 0},
            },
            "payload_schema": {f: {"data_type": kind, "points": 0} for f, kind in collection.indexed.items()},
        }

    def drop(self, name: str) -> bool:
        if (collection := self.collections.pop(name, None)) is None:
            return False
        collection.shard.close()
        self.aliases = {alias: target for alias, target in self.aliases.items() if target != name}
        return True

    def index(self, name: str, body: Json) -> Json:
        collection = self._get(name)
        kinds = {"keyword": edge.PayloadSchemaType.Keyword, "float": edge.PayloadSchemaType.Float}
        kind = body["field_schema"]
        if kind not in kinds:
            raise Refused(400, f"the face indexes keywords and floats only, not {kind}")
        collection.shard.update(edge.UpdateOperation.create_field_index(body["field_name"], kinds[kind]))
        collection.indexed[body["field_name"]] = kind
        return _DONE

    def all_aliases(self) -> Json:
        return {"aliases": [{"alias_name": a, "collection_name": c} for a, c in sorted(self.aliases.items())]}

    def change_aliases(self, body: Json) -> bool:
        changed = dict(self.aliases)
        for action in body["actions"]:
            ((kind, what),) = action.items()
            if kind == "delete_alias":
                changed.pop(what["alias_name"], None)
            elif kind == "create_alias":
                self._get(what["collection_name"])
                if what["alias_name"] in self.collections:
                    raise Refused(409, f"Wrong input: Collection `{what['alias_name']}` already exists!")
                changed[what["alias_name"]] = what["collection_name"]
            else:
                raise Refused(400, f"the face does not know the action {kind}")
        self.aliases = changed
        return True

    # --- points -------------------------------------------------------------------------------------------------

    def upsert(self, name: str, body: Json) -> Json:
        points = [edge.Point(p["id"], _vectors(p["vector"]), p.get("payload") or {}) for p in body["points"]]
        self._get(name).shard.update(edge.UpdateOperation.upsert_points(points))
        return _DONE

    def delete(self, name: str, body: Json) -> Json:
        self._get(name).shard.update(edge.UpdateOperation.delete_points(body["points"]))
        return _DONE

    def retrieve(self, name: str, body: Json) -> list[Json]:
        vectors = bool(body.get("with_vector"))
        records = self._get(name).shard.retrieve(body["ids"], with_payload=True, with_vector=vectors)
        return [_shown(record) for record in records]

    def scroll(self, name: str, body: Json) -> Json:
        records, following = self._get(name).shard.scroll(
            edge.ScrollRequest(
                offset=body.get("offset"),
                limit=body["limit"],
                filter=_filter(body.get("filter")),
                with_payload=bool(body.get("with_payload")),
                with_vector=bool(body.get("with_vector")),
            )
        )
        return {"points": list(map(_shown, records)), "next_page_offset": following and str(following)}

    def count(self, name: str, body: Json) -> Json:
        request = edge.CountRequest(exact=body.get("exact", True), filter=_filter(body.get("filter")))
        return {"count": self._get(name).shard.count(request)}

    def query_batch(self, name: str, body: Json) -> list[Json]:
        return [self._query(self._get(name), search) for search in body["searches"]]

    def query(self, name: str, body: Json) -> Json:
        """One search, as other tools' retrievers ask it."""
        found = self._query(self._get(name), body)
        wanted = body.get("with_payload")
        if isinstance(wanted, list):
            for point in found["points"]:
                point["payload"] = {key: point["payload"][key] for key in wanted if key in point["payload"]}
        return found

    def _query(self, collection: Collection, search: Json) -> Json:
        query = edge.Query.Nearest(_vector(search["query"]), using=search["using"])
        found = collection.shard.query(
            edge.QueryRequest(
                limit=search["limit"],
                query=query,
                filter=_filter(search.get("filter")),
                with_payload=bool(search.get("with_payload")),
            )
        )
        return {
            "points": [{"id": str(f.id), "version": f.version, "score": f.score, "payload": f.payload} for f in found]
        }

    def close(self) -> None:
        for collection in self.collections.values():
            collection.shard.close()
        shutil.rmtree(self._folder, ignore_errors=True)


_DONE = {"operation_id": 0, "status": "completed"}


def _shown(record: edge.Record) -> Json:
    vectors = record.vector or {}
    as_json = {
        name: {"indices": held.indices, "values": held.values} if isinstance(held, edge.SparseVector) else held
        for name, held in vectors.items()
    }
    return {"id": str(record.id), "payload": record.payload, "vector": as_json}


def _vectors(named: Any) -> Any:
    return {name: _vector(vector) for name, vector in named.items()}


def _vector(vector: Any) -> Any:
    if isinstance(vector, dict) and "nearest" in vector:
        vector = vector["nearest"]
    return edge.SparseVector(vector["indices"], vector["values"]) if isinstance(vector, dict) else vector


def _filter(asked: Json | None) -> edge.Filter | None:
    if not asked:
        return None
    return edge.Filter(**{clause: [_condition(c) for c in conditions] for clause, conditions in asked.items()})


def _condition(asked: Json) -> Any:
    if "has_id" in asked:
        return edge.HasIdCondition(set(asked["has_id"]))
    if "key" in asked and "value" in asked.get("match", {}):
        return edge.FieldCondition(asked["key"], match=edge.MatchValue(asked["match"]["value"]))
    raise Refused(400, f"the face does not know the condition {sorted(asked)}")
