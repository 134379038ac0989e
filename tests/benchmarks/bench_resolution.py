"""Who is who: pairwise precision and recall of resolution on the scenes of data/gold, with bootstrap intervals.

    python tests/benchmarks/bench_resolution.py [tuning] [held_out] [aliases] [--errors]

All scenes of a file are one workspace, so that a name of one scene may be taken for one of another. Extraction is
answered from the gold, form by form; with `model`, so are the questions about pairs. A pair is two forms that are not
one by their normal form already. `--errors` lists the pairs that were got wrong; leave it off for what is held out.
"""

from __future__ import annotations

import argparse
import csv
import random
import sqlite3
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from core_engine.kg.normalise import normal_form
from core_engine.kg.resolver.blocks import block_rules, keys_of
from core_engine.ledger.resolution import Known
from tests.benchmarks.corpus import shared
from tests.benchmarks.running import Table, kg, surroundings
from tests.openai_server.fixture import start
from tests.scenes import HELD_OUT, TUNING, Form, Scene, scenes

_DRAWS, _SEED = 2_000, 7
_FILES = {"tuning": TUNING, "held_out": HELD_OUT}
# (how, precision, recall) that it is held to
_BARS = (("model", 0.97, 0.75), ("rules", 0.95, 0.60))


@dataclass(frozen=True, slots=True)
class Found:
    """A form as the ledger has it: its atom, and the entity that the atom is now."""

    scene: str
    who: tuple[str, int]
    form: Form
    atom: bytes
    entity: bytes


@dataclass(slots=True)
class Score:
    """Pairs by scene, so that scenes can be drawn: right, wrongly merged, missed."""

    right: Counter[str]
    wrong: Counter[str]
    missed: Counter[str]
    exact: int = 0  # pairs of one normal form and scope, which nothing had to merge
    unseen: int = 0  # forms that extraction did not keep

    def of(self, drawn: Sequence[str]) -> tuple[float, float]:
        right, wrong, missed = (sum(each[s] for s in drawn) for each in (self.right, self.wrong, self.missed))
        return (right / (right + wrong) if right + wrong else 1.0), (
            right / (right + missed) if right + missed else 1.0
        )

    def interval(self, names: Sequence[str]) -> tuple[tuple[float, float], tuple[float, float]]:
        rng = random.Random(_SEED)
        drawn = [self.of(rng.choices(names, k=len(names))) for _ in range(_DRAWS)]
        low, high = int(_DRAWS * 0.025), int(_DRAWS * 0.975)
        precision, recall = (sorted(each[at] for each in drawn) for at in (0, 1))
        return (precision[low], precision[high]), (recall[low], recall[high])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("parts", nargs="*", choices=[*_FILES, "aliases", []], help="all of them where none is named")
    parser.add_argument("--errors", action="store_true", help="list what was got wrong")
    chosen = parser.parse_args()
    print(surroundings())
    for name in chosen.parts or [*_FILES, "aliases"]:
        if name == "aliases":
            aliases()
        else:
            measure(name, errors=chosen.errors)


def measure(name: str, *, errors: bool) -> None:
    known = list(scenes(_FILES[name]))
    table = Table(f"Resolution, {name}: {len(known)} scenes, {sum(len(s.turns) for s in known)} documents")
    with tempfile.TemporaryDirectory(prefix="kg-bench-") as folder, start(gold=str(_FILES[name])) as server:
        for scene in known:
            scene.write(Path(folder) / "scenes")
        env = {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "x"}
        for how, precision_bar, recall_bar in _BARS:
            ran = kg(
                "process", Path(folder) / "scenes", "--embedder", "none", "--resolve", how, "-w", how,
                folder=Path(folder), **env,
            )  # fmt: skip
            with sqlite3.connect(Path(folder) / ".kg" / how / "ledger.sqlite3") as db:
                score, wrong, missed = scored(db, known)
                asked = db.execute("SELECT count(*) FROM pair").fetchone()[0]
            names = [scene.name for scene in known]
            precision, recall = score.of(names)
            within = score.interval(names)
            pairs = sum(score.right.values()) + sum(score.missed.values())
            table.at_least(f"{how}: precision", precision, precision_bar, _range(within[0]))
            table.at_least(f"{how}: recall of {pairs} pairs", recall, recall_bar, _range(within[1]))
            table.at_most(f"{how}: pairs asked about", asked)
            table.at_most(f"{how}: forms that extraction lost", score.unseen)
            table.at_most(f"{how}: CPU", ran.cpu_s, unit="s")
            if errors:
                _list(db, how, wrong, missed)
    table.show()


def scored(
    db: sqlite3.Connection, known: Sequence[Scene]
) -> tuple[Score, list[tuple[Found, Found]], list[tuple[Found, Found]]]:
    score = Score(Counter(), Counter(), Counter())
    found = list(_found(db, known, score))
    wrong, missed = [], []
    for one, other in combinations(found, 2):
        same, merged = one.who == other.who, one.entity == other.entity
        if one.atom == other.atom and same:
            score.exact += 1
        elif same and merged:
            score.right[one.scene] += 1
        elif same:
            score.missed[one.scene] += 1
            missed.append((one, other))
        elif merged:
            score.wrong[min(one.scene, other.scene)] += 1
            wrong.append((one, other))
    return score, wrong, missed


def _found(db: sqlite3.Connection, known: Sequence[Scene], score: Score) -> Iterator[Found]:
    atoms: Mapping[str, dict[str, tuple[bytes, bytes]]] = defaultdict(dict)
    for document, norm, atom, entity in db.execute(
        "SELECT DISTINCT d.name, a.norm, a.id, a.entity FROM mention m JOIN atom a ON a.no = m.atom "
        "JOIN chunk c ON c.no = m.chunk JOIN document d ON d.no = c.document"
    ):
        atoms[document][norm] = atom, entity
    for scene in known:
        seen: set[tuple[str, int, str, str]] = set()
        for at, who in enumerate(scene.entities):
            for form in who.forms:
                norm = normal_form(form.name)
                if norm not in atoms[form.document]:
                    score.unseen += 1
                elif (scene.name, at, form.document, norm) not in seen:
                    seen.add((scene.name, at, form.document, norm))
                    yield Found(scene.name, (scene.name, at), form, *atoms[form.document][norm])


def _range(within: tuple[float, float]) -> str:
    return f"95 %: {within[0]:.3f} to {within[1]:.3f}"


def _list(
    db: sqlite3.Connection, how: str, wrong: Sequence[tuple[Found, Found]], missed: Sequence[tuple[Found, Found]]
) -> None:
    for title, some in (("merged wrongly", wrong), ("missed", missed)):
        for one, other in some:
            asked = db.execute(
                "SELECT verdict FROM pair WHERE a = ? AND b = ?", tuple(sorted((one.atom, other.atom)))
            ).fetchone()
            said = f" (a model said: {asked[0] or 'nothing'})" if asked else ""
            print(f"{how}: {title}: {_form(one)} | {_form(other)}{said}")


def _form(found: Found) -> str:
    return f"{found.form.name!r} in {found.form.document}"


def aliases() -> None:
    """A recogniser's spellings beside what was meant, each pair alone: by rules one, asked about, or not even that."""
    data = shared()
    path = data and data / "gold" / "asr_aliases" / "dev.tsv"
    if path is None or not path.exists():
        print("asr_aliases: not here")
        return
    outcome: Counter[str] = Counter()
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    for row in rows:
        outcome[_one_by(row["original"], row["corrected"])] += 1
    table = Table(f"asr_aliases: {len(rows)} pairs, each as two names of one type in two documents")
    for what in ("one by normal form", "merged by rules", "asked about", "not found"):
        table.at_most(what, outcome[what] / len(rows))
    table.show()


def _one_by(one: str, other: str) -> str:
    norms = [normal_form(name) for name in (one, other)]
    if not all(norms) or norms[0] == norms[1]:
        return "one by normal form"
    atoms = [
        Known(no, bytes([no]) * 16, norm, local=False, names=(name,), types=("Technology",))
        for no, (name, norm) in enumerate(zip((one, other), norms, strict=True), 1)
    ]
    first, second = (set(keys_of(atom, str)) for atom in atoms)
    asked = False
    for key in first & second:
        grounds = block_rules(key, atoms, str, lambda no: {no})
        if grounds.edges:
            return "merged by rules"
        asked = asked or bool(grounds.candidates)
    return "asked about" if asked else "not found"


if __name__ == "__main__":
    main()
