"""`python -m tests.neo4j_server` starts a Neo4j, prints what to export to use it, and stops it at Ctrl-C."""

from __future__ import annotations

import contextlib
import sys
import time

from tests.neo4j_server.server import CannotStart, new_server


def main() -> int:
    try:
        server = new_server()
        server.start()
    except CannotStart as reason:
        print(f"no Neo4j: {reason}", file=sys.stderr)
        return 1
    address = server.address
    try:
        print(f"export NEO4J_URI={address.uri} NEO4J_USERNAME={address.user} NEO4J_PASSWORD={address.password}")
        sys.stdout.flush()
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                time.sleep(3600)
    finally:
        server.remove()
    return 0


if __name__ == "__main__":
    sys.exit(main())
