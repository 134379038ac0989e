"""The gRPC side of the face: the calls that the adapter makes, put to the engine as the REST side puts them."""

# ruff: noqa: N802  # the names that the services have

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import grpc as transport
from grpc import StatusCode
from qdrant_client import grpc, models
from qdrant_client.conversions.conversion import GrpcToRest, RestToGrpc

from tests.qdrant_face.engine import Engine, Refused
from tests.qdrant_face.server import NO_KEY, Face

T = TypeVar("T")

# What Qdrant says by gRPC where it says so by HTTP; a connection that breaks is UNAVAILABLE to the client.
CODES = {
    0: StatusCode.UNAVAILABLE,
    400: StatusCode.INVALID_ARGUMENT,
    401: StatusCode.UNAUTHENTICATED,
    403: StatusCode.PERMISSION_DENIED,
    404: StatusCode.NOT_FOUND,
    408: StatusCode.DEADLINE_EXCEEDED,
    409: StatusCode.ALREADY_EXISTS,
    429: StatusCode.RESOURCE_EXHAUSTED,
    500: StatusCode.INTERNAL,
    503: StatusCode.UNAVAILABLE,
}
_KINDS = {grpc.FieldTypeKeyword: "keyword", grpc.FieldTypeFloat: "float"}


def serve(
    face: Face, port: int, credentials: transport.ServerCredentials | None = None
) -> tuple[transport.Server, int]:
    """A running server of the face's engine and behaviour, and its port: `port`, or a free one for 0."""
    # Without so_reuseport=0 two servers may share a port, and each gets half of the calls.
    server = transport.server(ThreadPoolExecutor(8), options=[("grpc.so_reuseport", 0)])
    grpc.add_QdrantServicer_to_server(Root(face), server)
    grpc.add_CollectionsServicer_to_server(Collections(face), server)
    grpc.add_PointsServicer_to_server(Points(face), server)
    address = f"127.0.0.1:{port}"
    taken = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
    server.start()
    return server, taken


class _Servicer:
    def __init__(self, face: Face) -> None:
        self._face = face

    def _answer(self, context: transport.ServicerContext, ask: Callable[[Engine], T], *, open_door: bool = False) -> T:
        """What the engine says, or the failure that the behaviour wants. As Qdrant, it asks nobody for a key at the door."""
        with self._face.lock:
            behaviour = self._face.behaviour
            if behaviour.fails():
                if behaviour.status == 429 and behaviour.retry_after is not None:
                    context.set_trailing_metadata([("retry-after", str(behaviour.retry_after))])
                refused = Refused(behaviour.status, "this failure was asked for")
            elif not open_door and not behaviour.admits(dict(context.invocation_metadata()).get("api-key")):
                refused = NO_KEY
            else:
                try:
                    return ask(self._face.engine)
                except Refused as error:
                    refused = error
                except Exception as error:
                    refused = Refused(400, str(error))
        context.abort(CODES[refused.status], refused.reason)
        raise AssertionError("abort raises")


class Root(_Servicer, grpc.QdrantServicer):
    def HealthCheck(self, request: Any, context: Any) -> Any:
        reply = grpc.HealthCheckReply(title="a face over Qdrant Edge", version="1.18.0")
        return self._answer(context, lambda _: reply, open_door=True)


class Collections(_Servicer, grpc.CollectionsServicer):
    def CollectionExists(self, request: Any, context: Any) -> Any:
        exists = self._answer(context, lambda engine: engine.exists(request.collection_name)["exists"])
        return grpc.CollectionExistsResponse(result=grpc.CollectionExists(exists=exists))

    def List(self, request: Any, context: Any) -> Any:
        names = [c["name"] for c in self._answer(context, Engine.all_collections)["collections"]]
        return grpc.ListCollectionsResponse(collections=[grpc.CollectionDescription(name=name) for name in names])

    def Get(self, request: Any, context: Any) -> Any:
        told = self._answer(context, lambda engine: engine.describe(request.collection_name))
        info = models.CollectionInfo.model_validate(told)
        return grpc.GetCollectionInfoResponse(result=RestToGrpc.convert_collection_info(info))

    def Create(self, request: Any, context: Any) -> Any:
        body = {}
        if request.HasField("vectors_config"):
            vectors = GrpcToRest.convert_vectors_config(request.vectors_config)
            body["vectors"] = {name: _json(params) for name, params in vectors.items()}
        if request.HasField("sparse_vectors_config"):
            words = GrpcToRest.convert_sparse_vector_config(request.sparse_vectors_config)
            body["sparse_vectors"] = {name: _json(params) for name, params in words.items()}
        made = self._answer(context, lambda engine: engine.create(request.collection_name, body))
        return grpc.CollectionOperationResponse(result=made)

    def Delete(self, request: Any, context: Any) -> Any:
        dropped = self._answer(context, lambda engine: engine.drop(request.collection_name))
        return grpc.CollectionOperationResponse(result=dropped)

    def ListAliases(self, request: Any, context: Any) -> Any:
        known = self._answer(context, Engine.all_aliases)["aliases"]
        return grpc.ListAliasesResponse(aliases=[grpc.AliasDescription(**alias) for alias in known])

    def UpdateAliases(self, request: Any, context: Any) -> Any:
        actions = [_json(GrpcToRest.convert_alias_operations(action)) for action in request.actions]
        changed = self._answer(context, lambda engine: engine.change_aliases({"actions": actions}))
        return grpc.CollectionOperationResponse(result=changed)


class Points(_Servicer, grpc.PointsServicer):
    def CreateFieldIndex(self, request: Any, context: Any) -> Any:
        body = {"field_name": request.field_name, "field_schema": _KINDS.get(request.field_type, request.field_type)}
        return _done(self._answer(context, lambda engine: engine.index(request.collection_name, body)))

    def Upsert(self, request: Any, context: Any) -> Any:
        body = {"points": [_json(GrpcToRest.convert_point_struct(point)) for point in request.points]}
        return _done(self._answer(context, lambda engine: engine.upsert(request.collection_name, body)))

    def Delete(self, request: Any, context: Any) -> Any:
        body = _json(GrpcToRest.convert_points_selector(request.points))
        return _done(self._answer(context, lambda engine: engine.delete(request.collection_name, body)))

    def Get(self, request: Any, context: Any) -> Any:
        body = {"ids": _ids(request.ids), "with_vector": request.with_vectors.enable}
        return grpc.GetResponse(
            result=_records(self._answer(context, lambda engine: engine.retrieve(request.collection_name, body)))
        )

    def Scroll(self, request: Any, context: Any) -> Any:
        body = {
            "limit": request.limit,
            "offset": GrpcToRest.convert_point_id(request.offset) if request.HasField("offset") else None,
            "filter": _filter(request),
            "with_payload": request.with_payload.enable,
            "with_vector": request.with_vectors.enable,
        }
        page = self._answer(context, lambda engine: engine.scroll(request.collection_name, body))
        following = page["next_page_offset"]
        return grpc.ScrollResponse(
            result=_records(page["points"]),
            next_page_offset=RestToGrpc.convert_extended_point_id(following) if following else None,
        )

    def Count(self, request: Any, context: Any) -> Any:
        body = {"exact": request.exact, "filter": _filter(request)}
        counted = self._answer(context, lambda engine: engine.count(request.collection_name, body))
        return grpc.CountResponse(result=grpc.CountResult(**counted))

    def QueryBatch(self, request: Any, context: Any) -> Any:
        body = {"searches": [_json(GrpcToRest.convert_query_points(query)) for query in request.query_points]}
        found = self._answer(context, lambda engine: engine.query_batch(request.collection_name, body))
        rankings = [[models.ScoredPoint.model_validate(point) for point in ranking["points"]] for ranking in found]
        return grpc.QueryBatchResponse(
            result=[grpc.BatchResult(result=map(RestToGrpc.convert_scored_point, ranking)) for ranking in rankings]
        )


def _json(model: Any) -> Any:
    """The body that REST would have."""
    return model.model_dump(mode="json", exclude_none=True)


def _ids(ids: Iterable[Any]) -> list[Any]:
    return [GrpcToRest.convert_point_id(each) for each in ids]


def _filter(request: Any) -> Any:
    return _json(GrpcToRest.convert_filter(request.filter)) if request.HasField("filter") else None


def _records(found: list[Any]) -> list[Any]:
    whole = [record | {"payload": record["payload"] or {}} for record in found]
    return [RestToGrpc.convert_record(models.Record.model_validate(record)) for record in whole]


def _done(told: Any) -> Any:
    result = grpc.UpdateResult(operation_id=told["operation_id"], status=grpc.UpdateStatus.Completed)
    return grpc.PointsOperationResponse(result=result)
