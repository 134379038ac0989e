"""python -m tests.openai_server: runs the server until it is stopped, or its parent is gone."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import gc
import json
import os
import signal
import sys

from tests.openai_server.app import App
from tests.openai_server.faults import ANY_KINDS, BATCH_KINDS, CHAT_KINDS, EMBEDDING_KINDS
from tests.openai_server.http import Connection
from tests.openai_server.settings import Settings

_DESCRIPTION = """A server that speaks OpenAI's protocol, for tests, benchmarks and walkthroughs. It answers by rule or
from gold, refuses what OpenAI refuses, and keeps books of what OpenAI would bill. It prints one line of JSON with its
URL when it is ready:

    python -m tests.openai_server --port 8787
    OPENAI_BASE_URL=http://127.0.0.1:8787/v1 OPENAI_API_KEY=x kg process ..."""

_EPILOG = """beside /v1/chat/completions, /v1/embeddings and /v1/models there are:
  GET  /__books          what it would bill: calls, tokens, dollars in total and by model, statuses, faults, peak in
                         flight, arrival times, and each request (?log=0 leaves out the last two)
  GET  /__requests       the last requests, without their keys
  GET  /__config         the settings;  POST changes some: {"latency": 0.5, "rpm": 600, "faults": [...]}
  POST /__reset          books, limits and cache anew, settings as at the start but for those in the body

faults: KIND:RATE strikes that share of the requests, each attempt drawn anew (seeded); KIND:RATE:STAGE only chat or
embeddings. By /__config also exactly: {"kind": "left_out", "match": "a text that a chunk contains", "times": 2},
{"kind": "refusal", "rate": 0.05, "per": "chunk"}. The first of the list that strikes wins.
"""


def main() -> None:
    parser = _parser()
    given = vars(parser.parse_args())
    host, port, detached, watch = (given.pop(name) for name in ("host", "port", "detached", "watch_stdin"))
    try:
        settings = Settings().updated(given)
        app = App(settings)
    except (TypeError, ValueError, OSError, KeyError) as error:
        parser.error(str(error))
    try:
        asyncio.run(_run(app, host, port, watch_parent=not detached and not watch, watch_stdin=watch))
    except OSError as error:
        sys.exit(f"cannot listen on {host}:{port}: {error.strerror}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.openai_server",
        description=_DESCRIPTION,
        epilog=_EPILOG + _kinds(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one (the default)")
    parser.add_argument("--detached", action="store_true", default=False, help="outlive the parent process")
    parser.add_argument("--watch-stdin", action="store_true", default=False, help="stop when standard input ends")
    for option in dataclasses.fields(Settings):
        _add(parser, option)
    return parser


def _add(parser: argparse.ArgumentParser, option: dataclasses.Field[object]) -> None:
    if "by /__config only" in option.metadata["help"]:
        return
    flag, text = f"--{option.name.replace('_', '-')}", option.metadata["help"].replace("%", "%%")
    if isinstance(option.default, bool):
        action = argparse.BooleanOptionalAction
        parser.add_argument(flag, action=action, help=text)
    elif isinstance(option.default, tuple):
        # One element each time, so the flag is singular: --fault, --model, --price.
        singular = flag.removesuffix("s") if flag not in {"--gold", "--refuse"} else flag
        parser.add_argument(singular, dest=option.name, action="append", metavar=option.metadata["metavar"], help=text)
    else:
        parser.add_argument(flag, metavar=option.metadata["metavar"], help=text)


def _kinds() -> str:
    lines = []
    for title, kinds in (
        ("chat", CHAT_KINDS),
        ("embeddings", EMBEDDING_KINDS),
        ("either", ANY_KINDS),
        ("the Batch API", BATCH_KINDS),
    ):
        lines.append(f"\nkinds of fault, {title}:")
        lines += [f"  {kind:<20} {text}" for kind, text in kinds.items()]
    return "\n".join(lines)


async def _run(app: App, host: str, port: int, *, watch_parent: bool, watch_stdin: bool) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError):  # Windows: the default handlers end the process as well
            loop.add_signal_handler(name, stop.set)
    server = await loop.create_server(lambda: Connection(app.handle), host, port, backlog=1024)
    bound = server.sockets[0].getsockname()[1]
    print(json.dumps({"url": f"http://{host}:{bound}/v1", "port": bound, "pid": os.getpid()}), flush=True)
    # All that is alive now lives as long as the process: the collector need not look at it again and again.
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    watchers = []
    if watch_parent:
        watchers.append(asyncio.create_task(_parent_gone(os.getppid(), stop)))
    if watch_stdin:
        watchers.append(asyncio.create_task(_input_ended(stop)))
    await stop.wait()
    for watcher in watchers:
        watcher.cancel()
    server.close()
    # A thread may still be reading standard input, and would hold a slower exit up.
    sys.stdout.flush()
    os._exit(0)


async def _parent_gone(parent: int, stop: asyncio.Event) -> None:
    while os.getppid() == parent:  # noqa: ASYNC110  # nothing tells us when a parent ends
        await asyncio.sleep(0.5)
    stop.set()


async def _input_ended(stop: asyncio.Event) -> None:
    await asyncio.to_thread(sys.stdin.buffer.read)
    stop.set()


if __name__ == "__main__":
    main()
