"""Runs a command until its own standard input ends, then stops it: so no server outlives the tests that started it.

`keeper.py FOLDER COMMAND…`. The tests hold the other end of that pipe. When they end, in whatever way (kill -9 too),
the system closes it; unless they wrote a byte before (they mean to start it again), the folder goes as well.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import threading


def main(folder: str, command: list[str]) -> int:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests; we end when they have
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    keep = threading.Event()
    threading.Thread(target=_stop_at_end_of_input, args=(child, keep), daemon=True).start()
    status = child.wait()
    if not keep.is_set():
        shutil.rmtree(folder, ignore_errors=True)
    return status


def _stop_at_end_of_input(child: subprocess.Popen[bytes], keep: threading.Event) -> None:
    while sys.stdin.buffer.read(1):
        keep.set()
    child.terminate()
    try:
        child.wait(timeout=30)
    except subprocess.TimeoutExpired:
        child.kill()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
