"""Other people's retrievers, each a script with packages of its own, tried against a graph and vectors of ours.

They can't be in our own environment: LlamaIndex' wants an older Neo4j driver than ours. `uv run --script` makes one for each.
"""
