"""What an edit of one turn buys: python tests/benchmarks/bench_edit.py [--quick].

Meetings are processed, then edited at random, one turn at a time and each edit on top of the ones before, and
processed again: words changed, a sentence added, half a turn taken out, another speaker, a turn removed or put in.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from tests.benchmarks.corpus import meetings, vocabulary
from tests.benchmarks.running import Table, surroundings
from tests.kg import Kg
from tests.openai_server.fixture import start

_MEETINGS = 5
_EDITS = 50
_SENTENCE = "And the budget for that, as Karen Holt told me in week {}, is with the board of Northwind."

Turns = list[tuple[str, str]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="ten edits")
    edits = 10 if parser.parse_args().quick else _EDITS
    print(surroundings(), flush=True)
    draw = random.Random(1)
    bought: list[tuple[int, str]] = []
    with tempfile.TemporaryDirectory(prefix="kg-bench-") as name, start(tokens="characters") as server:
        folder = Path(name)
        cache = vocabulary()
        tiktoken = {"TIKTOKEN_CACHE_DIR": str(cache)} if cache else {}
        kg = Kg(folder, OPENAI_BASE_URL=server.url, OPENAI_API_KEY="x", **tiktoken)
        (folder / "in").mkdir()
        texts = dict(meetings(_MEETINGS))
        for meeting, turns in texts.items():
            _write(folder, meeting, turns)
        whole = kg.process("in")["chunks"]["total"]
        for number in range(edits):
            meeting = draw.choice(list(texts))
            kind = _edit(draw, texts[meeting], number)
            _write(folder, meeting, texts[meeting])
            bought.append((_bought(kg.process("in")), kind))
        switched = _bought(kg.process("in", TIKTOKEN_CACHE_DIR=""))
    table = Table(f"{edits} edits of one turn, {_MEETINGS} meetings of {whole} chunks")
    counts = Counter(number for number, _ in bought)
    table.at_most("chunks bought at most by an edit", max(counts), 3)
    table.at_most("chunks bought by an edit on average", sum(number for number, _ in bought) / edits)
    for kind in sorted({kind for _, kind in bought}):
        mine = [number for number, what in bought if what == kind]
        table.at_most(f"at most, {kind}", max(mine), note=f"{len(mine)} edits")
    table.at_most("chunks bought by switching tiktoken's vocabulary off", switched, 0, note="" if cache else "not here")
    table.show()


def _edit(draw: random.Random, turns: Turns, number: int) -> str:
    """Change one turn in place; what was done to it."""
    at = draw.choice([i for i, (_, words) in enumerate(turns) if len(words) > 40])
    speaker, words = turns[at]
    kind = draw.choice(("words changed", "sentence added", "half taken out", "speaker changed", "removed", "put in"))
    if kind == "words changed":
        turns[at] = (speaker, words.replace(draw.choice(words.split()), f"Rotterdam {number}", 1))
    elif kind == "sentence added":
        turns[at] = (speaker, f"{words} {_SENTENCE.format(number)}")
    elif kind == "half taken out":
        turns[at] = (speaker, words[: len(words) // 2])
    elif kind == "speaker changed":
        turns[at] = (draw.choice([other for other, _ in turns if other != speaker]), words)
    elif kind == "removed":
        del turns[at]
    else:
        turns.insert(at, (speaker, _SENTENCE.format(number)))
    return kind


def _write(folder: Path, meeting: str, turns: Turns) -> None:
    rows = [{"speaker": speaker, "text": words} for speaker, words in turns]
    (folder / "in" / f"{meeting}.json").write_text(json.dumps(rows, indent=0), encoding="utf-8")


def _bought(report: dict[str, Any]) -> int:
    return int(report["chunks"]["total"] - report["chunks"]["reused"])


if __name__ == "__main__":
    main()
