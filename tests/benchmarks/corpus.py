"""What the benchmarks read: QMSum's 8,834 chunks and 197 meetings where they are, else as much made from a seed."""

from __future__ import annotations

import gzip
import json
import os
import random
from bisect import bisect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate, islice
from pathlib import Path

CHUNKS = 8_834
_LARGE = Path("transcripts") / "large"
_O200K = "fb374d419588a4632f3f557e76b4b70aebbca790"  # as tiktoken names the file

# QMSum's chunks: characters at these shares of them, turns a chunk, chunks a meeting. A fourth of a chunk is noise.
_SHARES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
_CHARACTERS = (21, 315, 739, 1083, 1216, 1333, 1525, 1648, 1798)
_CHUNKS_A_MEETING = 45
_NOISE = ("um ,", "uh ,", "{disfmarker}", "{vocalsound}", "you know ,", "I I mean", "so so")
_ROLES = ("Project Manager", "Marketing", "Grad", "Professor", "Speaker")
_COMMON = (
    "the a to and of that we it is in you for on this so have be not what do if with there as can at one about or are "
    "just like they would was think get know but from all some more when which how time could should need really want "
    "see people make good right way use work first then other only because maybe things different point look design "
    "button price data model plan market report cost customer week question number result problem team meeting part "
    "idea screen remote budget order change value signal paper file test version group schedule answer decision note"
)
_SOUNDS = (
    "ba be bo da den do fa fer ga go hal hen jo ka kel lan len lor ma mar mo na nel no pa per ro ran sa sel sto ta ten "
    "tor va ver vi wa wen zo ri li so ni"
)
_SUFFIXES = ("Systems", "Bank", "Mills", "University", "Project", "Labs", "City")


@dataclass(frozen=True, slots=True)
class Corpus:
    """A file for `kg process`, how many chunks it holds, and whether it is real or made."""

    path: Path
    chunks: int
    name: str


def shared() -> Path | None:
    """The shared data: KG_SHARED_DATA, else ../shared/data beside the repository; None if there is none."""
    given = os.environ.get("KG_SHARED_DATA")
    folder = Path(given) if given else Path(__file__).resolve().parents[3] / "shared" / "data"
    return folder if (folder / _LARGE).is_dir() else None


def vocabulary() -> Path | None:
    """The folder with tiktoken's o200k_base, where it is on disk: TIKTOKEN_CACHE_DIR, or beside the shared data."""
    data = shared()
    given = os.environ.get("TIKTOKEN_CACHE_DIR")
    folders = [*([Path(given)] if given else []), *([data.parent / "vocab"] if data else [])]
    return next((folder for folder in folders if (folder / _O200K).is_file()), None)


def counter(vocabulary: Path | None) -> Callable[[str], int]:
    """Counts a text's tokens, exactly where o200k_base is in that folder, else by characters / 4."""
    if vocabulary is None:
        return lambda text: (len(text) + 3) // 4
    os.environ["TIKTOKEN_CACHE_DIR"] = str(vocabulary)
    import tiktoken

    encode = tiktoken.get_encoding("o200k_base").encode_ordinary
    return lambda text: len(encode(text))


def chunks(folder: Path, limit: int | None = None) -> Corpus:
    """QMSum's chunks, or as many of the same sizes in `folder`; with `limit`, the first so many."""
    count = min(limit or CHUNKS, CHUNKS)
    data = shared()
    if data is None:
        return made(folder, count)
    whole = data / _LARGE / f"qmsum_chunks_{CHUNKS}.jsonl.gz"
    if count == CHUNKS:
        return Corpus(whole, count, "QMSum")
    path = folder / f"qmsum-{count}.jsonl"
    with gzip.open(whole, "rt", encoding="utf-8") as lines, path.open("w", encoding="utf-8") as out:
        out.writelines(islice(lines, count))
    return Corpus(path, count, f"QMSum's first {count:,}")


def made(folder: Path, count: int) -> Corpus:
    """So many invented chunks, all different; the same ones each time, and a smaller corpus begins a larger one."""
    path = folder / f"made-{count}.jsonl"
    with path.open("w", encoding="utf-8") as out:
        for number in range(count):
            meeting, seq = divmod(number, _CHUNKS_A_MEETING)
            row = {"chunk_id": f"m{meeting}#{seq}", "meeting_id": f"m{meeting}", "seq": seq, "text": _chunk(number)}
            out.write(json.dumps(row) + "\n")
    return Corpus(path, count, f"{count:,} made chunks")


def meetings(limit: int) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """The first meetings of QMSum, or made ones: name and turns (speaker, words)."""
    data = shared()
    if data is not None:
        with gzip.open(data / _LARGE / "qmsum_meetings_197.jsonl.gz", "rt", encoding="utf-8") as lines:
            for row in map(json.loads, islice(lines, limit)):
                yield row["meeting_id"], [(turn["speaker"], turn["content"]) for turn in row["turns"]]
        return
    for meeting in range(limit):
        texts = (_chunk(meeting * _CHUNKS_A_MEETING + seq) for seq in range(_CHUNKS_A_MEETING))
        turns = [line.partition(": ") for text in texts for line in text.split("\n")]
        yield f"made-{meeting}", [(speaker, words) for speaker, _, words in turns]


def raw_texts(corpus: Corpus) -> Iterator[str]:
    """The chunks' texts as they stand in the file."""
    opened = gzip.open if corpus.path.suffix == ".gz" else open
    with opened(corpus.path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)["text"]


def _chunk(number: int) -> str:
    draw = random.Random(number)
    share = draw.random()
    at = min(bisect(_SHARES, share), len(_SHARES) - 1)
    low, high = _CHARACTERS[at - 1 : at + 1]
    size = low + (high - low) * (share - _SHARES[at - 1]) / (_SHARES[at] - _SHARES[at - 1])
    meeting = number // _CHUNKS_A_MEETING
    speakers = [f"{role} {chr(65 + (meeting + i) % 26)}" for i, role in enumerate(_ROLES)]
    lines: list[str] = []
    while size > 0:
        words = " ".join(_words(draw, number, min(size, draw.lognormvariate(3.6, 1.1))))
        lines.append(f"{draw.choice(speakers)}: {words} .")
        size -= len(lines[-1]) + 1
    return "\n".join(lines)


def _words(draw: random.Random, number: int, size: float) -> Iterator[str]:
    while size > 0:
        kind = draw.random()
        if kind < 0.12:
            word = draw.choice(_NOISE)
        elif kind < 0.16:
            word = _name(draw, number)
        else:
            word = draw.choices(_WORDS, cum_weights=_FREQUENCIES)[0]
        size -= len(word) + 1
        yield word


def _name(draw: random.Random, number: int) -> str:
    """A name: a few are named all the time, and new ones keep coming, ever more seldom (about the root of the count)."""
    which = int(draw.random() ** 3 * 40 * (number + 25) ** 0.5)
    spell = random.Random(which)
    first, second = ("".join(spell.choices(_SYLLABLES, k=spell.choice((2, 3)))).title() for _ in range(2))
    return f"{first} {spell.choice(_SUFFIXES) if which % 3 == 0 else second}"


_WORDS, _SYLLABLES = _COMMON.split(), _SOUNDS.split()
_FREQUENCIES = list(accumulate(1 / rank for rank in range(1, len(_WORDS) + 1)))
