"""A thin face, by REST and gRPC, over Qdrant's own engine, for tests of the server adapter. It is not Qdrant's server.

It answers just what `core_engine.embeddings.stores.qdrant` asks, from Qdrant Edge shards in a folder. Run by hand:

    python -m tests.qdrant_face --port 6333 --grpc-port 6334
"""
