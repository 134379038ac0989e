"""The evaluation as plain values for JSON (docs/evaluation.md), and as Markdown."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from metrics.evaluation.bootstrap import difference_interval, f1_interval, share_interval
from metrics.evaluation.gold import GoldDocument, GoldPair
from metrics.evaluation.said import Said
from metrics.evaluation.scores import MEASURES, Counts, Scored, grade_table, pair_counts, score

SCHEMA = "kg.eval/1"


def evaluate(name: str, gold: Sequence[GoldDocument], said: Said, pairs: Sequence[GoldPair]) -> dict[str, Any]:
    """The scores of one side, `name` saying whose answers they are."""
    scored = score_all(gold, said)
    by_type: dict[str, Counts] = defaultdict(Counts)
    by_position: dict[tuple[int, str], Counts] = defaultdict(Counts)
    for each in scored:
        for kind, counts in each.by_type.items():
            by_type[kind] += counts
        for place, counts in each.by_position.items():
            by_position[place] += counts
    evidence: Counter[str] = sum((each.evidence for each in scored), Counter())
    report = {
        "answers": name,
        "documents": len(scored),
        "documents_missing": list(said.missing),
        "chunks": sum(map(len, said.documents.values())),
        "chunks_unanswered": said.unanswered,
        **_measures(scored),
        "grounding": {
            "by_grade": [
                {"of": of, "grade": grade, "findings": count, "precision": _round(right / count)}
                for of, grade, count, right in grade_table(scored)
            ],
            "evidence": {name: evidence[name] for name in ("right", "near", "elsewhere")},
        },
        "by_type": {kind: _plain(by_type[kind]) for kind in sorted(by_type)},
        "by_document": {each.name: {name: _plain(each.measures[name]) for name in MEASURES} for each in scored},
        "by_position": [
            {"position": position, "of": of, **_plain(by_position[position, of])}
            for position, of in sorted(by_position)
        ],
        "misses": [
            {"document": miss.document, "kind": miss.kind, "what": miss.what, "words": miss.words}
            for each in scored
            for miss in each.misses
        ],
    }
    if pairs:
        report["pairs"] = _pairs(pairs, said)
    return report


def score_all(gold: Sequence[GoldDocument], said: Said) -> list[Scored]:
    return [score(document, said.documents[document.name]) for document in gold if document.name in said.documents]


def compared(gold: Sequence[GoldDocument], one: tuple[str, Said], other: tuple[str, Said]) -> dict[str, Any]:
    """Where the other differs from the one, over the documents that both have: F1 by measure, with its interval."""
    sides = [{each.name: each for each in score_all(gold, said)} for _, said in (one, other)]
    names = [document.name for document in gold if all(document.name in side for side in sides)]
    differences = {}
    for measure in MEASURES:
        pairs = [(sides[0][name].measures[measure], sides[1][name].measures[measure]) for name in names]
        totals = [sum((pair[side] for pair in pairs), Counts()).f1 for side in (0, 1)]
        interval = difference_interval(pairs)
        differences[measure] = {
            "one": _round(totals[0]),
            "other": _round(totals[1]),
            "difference": _round((totals[1] or 0.0) - (totals[0] or 0.0)),
            "interval": _rounded(interval),
            "verdict": _verdict(interval),
        }
    return {"one": one[0], "other": other[0], "documents": len(names), "differences": differences}


def _measures(scored: Sequence[Scored]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for measure in MEASURES:
        group, name = measure.split(" ")
        each = [one.measures[measure] for one in scored]
        total = _plain(sum(each, Counts())) | {"f1_interval": _rounded(f1_interval(each))}
        found.setdefault(group, {})[name] = total
    return found


def _pairs(pairs: Sequence[GoldPair], said: Said) -> dict[str, Any]:
    """How pairs of names are judged, those of which one was never said left out of the counts."""
    judged = [(pair, taken) for pair, taken, known in pair_counts(pairs, said.documents) if known]
    taken_same = [pair.same for pair, taken in judged if taken]
    same_taken = [taken for pair, taken in judged if pair.same]
    return {
        "pairs": len(pairs),
        "judged": len(judged),
        "precision": _round(sum(taken_same) / len(taken_same)) if taken_same else None,
        "precision_interval": _rounded(share_interval(taken_same)),
        "recall": _round(sum(same_taken) / len(same_taken)) if same_taken else None,
        "recall_interval": _rounded(share_interval(same_taken)),
    }


def _verdict(interval: tuple[float, float] | None) -> str:
    if interval is None or interval[0] <= 0 <= interval[1]:
        return "no difference that these documents show"
    return "better" if interval[0] > 0 else "worse"


def _plain(counts: Counts) -> dict[str, Any]:
    return {
        "precision": _round(counts.precision),
        "recall": _round(counts.recall),
        "f1": _round(counts.f1),
        "said": int(counts.said),
        "gold": int(counts.gold),
    }


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _rounded(interval: tuple[float, float] | None) -> list[float] | None:
    return None if interval is None else [round(end, 4) for end in interval]


# --- Markdown --------------------------------------------------------------------------------------------------------


def markdown(report: Mapping[str, Any], misses: int) -> str:
    """The whole report; of the misses so many of each kind."""
    lines = [f"# Evaluation of {_cell(report['workspace'])}", ""]
    for side in report["sides"]:
        lines += _side(side, misses)
    for each in report["comparisons"]:
        lines += _comparison(each)
    return "\n".join(lines).rstrip() + "\n"


def _side(side: Mapping[str, Any], misses: int) -> Iterator[str]:
    yield f"## {_cell(side['answers'])}"
    yield ""
    yield f"{side['documents']} documents, {side['chunks']} chunks" + (
        f", {side['chunks_unanswered']} unanswered" if side["chunks_unanswered"] else ""
    )
    if side["documents_missing"]:
        yield f"Not in the workspace: {_cell(', '.join(side['documents_missing']))}"
    yield ""
    yield from _table(
        ("measure", "precision", "recall", "F1", "95 %", "said", "gold"),
        [
            (
                measure,
                *_scores(side[group][name]),
                _between(side[group][name]["f1_interval"]),
                *_sizes(side[group][name]),
            )
            for measure in MEASURES
            for group, name in [measure.split(" ")]
        ],
    )
    if pairs := side.get("pairs"):
        said = [
            f"{name} {_number(pairs[name])} {_between(pairs[name + '_interval'])}" for name in ("precision", "recall")
        ]
        yield f"Pairs across documents: {', '.join(said)}, over {pairs['judged']} of {pairs['pairs']} pairs."
        yield ""
    yield from _table(
        ("grounding", "grade", "findings", "precision"),
        [(g["of"], g["grade"], g["findings"], _number(g["precision"])) for g in side["grounding"]["by_grade"]],
    )
    evidence = side["grounding"]["evidence"]
    if total := sum(evidence.values()):
        shares = ", ".join(f"{count / total:.0%} {name}" for name, count in evidence.items())
        yield f"The turns that right relationships cite, against gold's quotes: {shares}."
        yield ""
    yield from _table(
        ("position in the request", "of", "precision", "recall", "F1", "said", "gold"),
        [(p["position"], p["of"], *_scores(p), *_sizes(p)) for p in side["by_position"]],
    )
    yield from _table(
        ("type", "precision", "recall", "F1", "said", "gold"),
        [(kind, *_scores(counts), *_sizes(counts)) for kind, counts in side["by_type"].items()],
    )
    yield from _table(
        ("document", "entities F1", "relationships F1"),
        [
            (name, _number(of["entities exact"]["f1"]), _number(of["relationships exact"]["f1"]))
            for name, of in side["by_document"].items()
        ],
    )
    yield from _misses(side["misses"], misses)


def _misses(misses: Sequence[Mapping[str, str]], most: int) -> Iterator[str]:
    by_kind: dict[str, list[Mapping[str, str]]] = defaultdict(list)
    for miss in misses:
        by_kind[miss["kind"]].append(miss)
    for kind, some in sorted(by_kind.items()) if most else ():
        yield f"### {kind.capitalize()}: {len(some)}"
        yield ""
        for miss in some[:most]:
            words = f": \u201c{_cell(miss['words'])}\u201d" if miss["words"] else ""
            yield f"- {_cell(miss['document'])}: {_cell(miss['what'])}{words}"
        yield ""


def _comparison(each: Mapping[str, Any]) -> Iterator[str]:
    yield f"## {_cell(each['other'])} against {_cell(each['one'])}"
    yield ""
    yield f"F1 over {each['documents']} documents that both have."
    yield ""
    yield from _table(
        ("measure", "one", "other", "difference", "95 %", "the other is"),
        [
            (
                name,
                _number(d["one"]),
                _number(d["other"]),
                _signed(d["difference"]),
                _between(d["interval"]),
                d["verdict"],
            )
            for name, d in each["differences"].items()
        ],
    )


def _table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Iterator[str]:
    if not rows:
        return
    yield f"| {' | '.join(columns)} |"
    yield f"| {' | '.join('---' for _ in columns)} |"
    for row in rows:
        yield f"| {' | '.join(_cell(value) for value in row)} |"
    yield ""


def _scores(counts: Mapping[str, Any]) -> tuple[str, str, str]:
    return _number(counts["precision"]), _number(counts["recall"]), _number(counts["f1"])


def _sizes(counts: Mapping[str, Any]) -> tuple[int, int]:
    return counts["said"], counts["gold"]


def _number(value: float | None) -> str:
    return "\u2013" if value is None else f"{value:.3f}"


def _signed(value: float) -> str:
    return f"{value:+.3f}"


def _between(interval: Sequence[float] | None) -> str:
    return "\u2013" if interval is None else f"{interval[0]:.3f} to {interval[1]:.3f}"


def _cell(value: Any) -> str:
    """On one line, and nothing that Markdown or HTML would act on."""
    text = " ".join(str(value).split()).replace("&", "&amp;").replace("<", "&lt;")
    for sign in "\\`*[]|":
        text = text.replace(sign, "\\" + sign)
    return text
