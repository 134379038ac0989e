"""Run the face: prints its port on the first line, that of gRPC on the second, then serves until it is stopped."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import threading
from pathlib import Path

from tests.qdrant_face import rpc
from tests.qdrant_face.engine import Engine
from tests.qdrant_face.server import Behaviour, Face


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.qdrant_face", description=__doc__)
    parser.add_argument("--port", type=int, default=6333, help="0 takes a free one")
    parser.add_argument("--grpc-port", type=int, default=6334, help="0 takes a free one")
    parser.add_argument("--api-key", help="answer 401 to requests without this key")
    parser.add_argument("--fail-after", type=int, metavar="N", help="fail from the request after the Nth on")
    parser.add_argument("--fail-times", type=int, metavar="N", help="fail N times only")
    parser.add_argument("--status", type=int, default=503, help="fail with this status; 0 closes the connection")
    parser.add_argument("--until-stdin-ends", action="store_true", help="stop when whoever started it is gone")
    asked = parser.parse_args()
    behaviour = Behaviour(asked.api_key, asked.fail_after, asked.fail_times, asked.status)
    folder = Path(tempfile.mkdtemp(prefix="qdrant-face-"))
    face = Face(asked.port, Engine(folder), behaviour)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if asked.until_stdin_ends:
        threading.Thread(target=_stop_with_stdin, daemon=True).start()
    _calls, grpc_port = rpc.serve(face, asked.grpc_port)
    print(face.server_port, grpc_port, sep="\n", flush=True)
    try:
        face.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        face.engine.close()
        os._exit(0)  # a gRPC server takes its time to end, and has nothing to lose


def _stop_with_stdin() -> None:
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
