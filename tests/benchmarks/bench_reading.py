"""Reads and cuts a large file of each of the six big formats, and CSV: seconds, and peak memory of the process that did it.

    python -m tests.benchmarks.bench_reading [--megabytes 100] [--formats text,json] [--growth]

Held to: 100 MB in 60 s and 150 MB. `--growth` adds a file of a quarter of the size, to see that time grows with it and
memory doesn't. The process imports nothing but readers and chunking; each starts afresh.

    python -m tests.benchmarks.bench_reading --gigabytes 2 [--formats text,jsonl,csv]

Reads a huge file of each to its end, without cutting it, and one of 20 MB beside it. Held to: a quarter more memory.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

ROOT = Path(__file__).parents[2]
SECONDS, MEGABYTES = 60, 150
SMALL = 20
"""Megabytes of the file that a huge one is compared with: already read in parts."""
PEOPLE = ("Ann Lee", "Bob Marsh", "Carla Diaz", "Wei Chen")
SPEECH = (
    "so the next point is that Northwind Mills will ship what we promised to Harbor Logistics before the end of the "
    "quarter and I think, you know, that um we should ask Quill Systems whether their part of the Falcon project is "
    "ready. Does anybody see a problem with that? Otherwise let us go on to the budget of Meadow Bank."
)
WORDS = SPEECH.split()


def said(number: int) -> str:
    """Some words that differ from turn to turn, 40 to 300 characters."""
    first, length = number * 7 % len(WORDS), 8 + number * 13 % 45
    return f"{' '.join((WORDS * 2)[first : first + length])} ({number})."


def clock(seconds: int, point: str) -> str:
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{point}500"


def text() -> Iterator[str]:
    return (f"{PEOPLE[n % 4]}: {said(n)}\n" for n in count())


def markdown() -> Iterator[str]:
    yield "---\ntitle: A long talk\nspeakers:\n  - Ann Lee\n---\n\n# A long talk\n\n"
    yield from (f"**{PEOPLE[n % 4]}:** {said(n)}\n\n" for n in count())


def srt() -> Iterator[str]:
    return (
        f"{n + 1}\n{clock(3 * n % 300000, ',')} --> {clock(3 * n % 300000 + 2, ',')}\n{PEOPLE[n // 5 % 4]}: {said(n)[:90]}\n\n"
        for n in count()
    )


def vtt() -> Iterator[str]:
    yield "WEBVTT\n\n"
    yield from (
        f"{clock(3 * n % 300000, '.')} --> {clock(3 * n % 300000 + 2, '.')}\n<v {PEOPLE[n // 5 % 4]}>{said(n)[:90]}</v>\n\n"
        for n in count()
    )


def segments() -> Iterator[str]:
    yield '{"language": "en", "segments": ['
    for n in count():
        value = {"id": n, "start": n * 3.0, "end": n * 3.0 + 2.5, "speaker": PEOPLE[n // 5 % 4], "text": said(n)}
        yield f"{',' if n else ''}\n{json.dumps(value)}"


def lines() -> Iterator[str]:
    for n in count():
        turns = [{"speaker": PEOPLE[i % 4], "text": said(n * 300 + i)} for i in range(300)]
        yield json.dumps({"id": f"m{n}", "title": f"Meeting {n}", "turns": turns}) + "\n"


def table() -> Iterator[str]:
    yield "start,speaker,text\r\n"
    yield from (f'{n * 3},{PEOPLE[n % 4]},"{said(n)}"\r\n' for n in count())


MAKERS: dict[str, tuple[str, Callable[[], Iterator[str]], str]] = {
    "text": ("txt", text, ""),
    "markdown": ("md", markdown, ""),
    "srt": ("srt", srt, ""),
    "webvtt": ("vtt", vtt, ""),
    "json": ("json", segments, "\n]}\n"),
    "jsonl": ("jsonl", lines, ""),
    "csv": ("csv", table, ""),
}


def made(folder: Path, kind: str, megabytes: float) -> Path:
    suffix, maker, end = MAKERS[kind]
    path, size = folder / f"large.{suffix}", 0
    with path.open("w", encoding="utf-8") as file:
        for piece in maker():
            file.write(piece)
            size += len(piece)
            if size > megabytes * 1e6:
                break
        file.write(end)
    return path


def read_and_cut(path: Path, *, cutting: bool = True) -> dict[str, float]:
    """What a fresh process does, as `kg process` does it: the fingerprint, the turns, the chunks."""
    from core_engine.chunking.cut import cut
    from core_engine.machine import collecting_seldom
    from core_engine.readers.registry import discover, fingerprint, read
    from core_engine.types import Transcript

    began = time.process_time()
    documents = turns = chunks = problems = 0
    (source,) = discover([str(path)])
    with collecting_seldom():
        for item in read(source, fingerprint(source)).items:
            if isinstance(item, Transcript):
                documents += 1
                turns += len(item.turns)
                chunks += len(cut(f"d{documents}", item.turns)) if cutting else 0
            else:
                problems += 1
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 if sys.platform == "darwin" else 1024)
    used = time.process_time() - began
    return {"s": used, "mb": peak, "documents": documents, "turns": turns, "chunks": chunks, "problems": problems}


def measured(path: Path, *, cutting: bool = True) -> dict[str, float]:
    run = [sys.executable, "-m", "tests.benchmarks.bench_reading", "--child", str(path)]
    run += [] if cutting else ["--uncut"]
    return json.loads(subprocess.run(run, check=True, cwd=ROOT, stdout=subprocess.PIPE).stdout)


def huge(gigabytes: float, kinds: list[str]) -> bool:
    """Whether each format takes no more memory for a huge file than for a small one."""
    ok = True
    print(f"{'format':10}{'file MB':>9}{'CPU s':>8}{'peak MB':>9}{'documents':>11}{'turns':>10}")
    with tempfile.TemporaryDirectory() as folder:
        for kind in kinds:
            small = 0.0
            for megabytes in (SMALL, gigabytes * 1000):
                path = made(Path(folder), kind, megabytes)
                got = measured(path, cutting=False)
                size = path.stat().st_size / 1e6
                path.unlink()
                small = small or got["mb"]
                held = got["mb"] <= 1.25 * small and not got["problems"]
                ok = ok and held
                print(
                    f"{kind:10}{size:9.0f}{got['s']:8.1f}{got['mb']:9.0f}{got['documents']:11.0f}{got['turns']:10.0f}"
                    f"{'' if held else '  MISSED'}",
                    flush=True,
                )
    return ok


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=float, default=100)
    parser.add_argument("--gigabytes", type=float, help="only read files so large, and look at their memory")
    parser.add_argument("--formats")
    parser.add_argument("--growth", action="store_true")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--uncut", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(read_and_cut(options.child, cutting=not options.uncut)))
        return
    if options.gigabytes:
        sys.exit(not huge(options.gigabytes, (options.formats or "text,jsonl,csv").split(",")))
    failed = False
    print(f"{'format':10}{'file MB':>9}{'CPU s':>8}{'peak MB':>9}{'documents':>11}{'turns':>10}{'chunks':>9}")
    with tempfile.TemporaryDirectory() as folder:
        for kind in options.formats.split(",") if options.formats else MAKERS:
            for megabytes in (options.megabytes / 4, options.megabytes) if options.growth else (options.megabytes,):
                path = made(Path(folder), kind, megabytes)
                got = measured(path)
                size = path.stat().st_size / 1e6
                path.unlink()
                ok = got["s"] <= SECONDS * size / 100 + 5 and got["mb"] <= MEGABYTES and not got["problems"]
                failed = failed or not ok
                print(
                    f"{kind:10}{size:9.0f}{got['s']:8.1f}{got['mb']:9.0f}{got['documents']:11.0f}{got['turns']:10.0f}"
                    f"{got['chunks']:9.0f}{'' if ok else '  MISSED'}",
                    flush=True,
                )
    sys.exit(failed)


if __name__ == "__main__":
    main()
