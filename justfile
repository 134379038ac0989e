# `just` lists these; `uvx --from rust-just just` does without installing it.

set shell := ["bash", "-euo", "pipefail", "-c"]

_list:
    @just --list --unsorted

# Everything that CI checks
check: lint types imports test

# Style and format
lint:
    uv run ruff check .
    uv run ruff format --check .

# Types, strict
types:
    uv run mypy

# Who may import whom
imports:
    uv run lint-imports

# Tests; arguments go to pytest
test *arguments:
    uv run pytest {{ arguments }}

# Kill, lie to and cut off runs (docs/reliability.md); arguments: parts and --times N --seed N
torture *arguments:
    uv run python -m tests.torture {{ arguments }}

# Put the code in order: format, and what ruff can mend
format:
    uv run ruff check --fix .
    uv run ruff format .

# The samples, offline, into a folder of their own
sample:
    uv run kg process data/transcripts --home "$(mktemp -d)" --no-model

# The samples against the test server, with collectors for every tracing service, into a folder to look at
demo *folder:
    uv run python -m tests.demo {{ folder }}

# A server that speaks OpenAI's protocol, until Ctrl-C
openai-server port="8787":
    uv run python -m tests.openai_server --port {{ port }}

# A real Neo4j, until Ctrl-C
neo4j-server:
    uv run python -m tests.neo4j_server

# Write the help and the runs in the README anew, as kg prints them
readme:
    uv run python -m tests.readme

# Newer versions of everything, then `just constraints`
upgrade:
    #!/usr/bin/env bash
    set -euo pipefail
    # The constraints themselves would hold the old versions.
    .ci/constraints --none
    uv lock --upgrade
    uv sync
    just constraints

# Exact versions from uv.lock into pyproject.toml ([tool.uv] constraint-dependencies) and constraints.txt
constraints:
    uv lock
    .ci/constraints
    uv lock
