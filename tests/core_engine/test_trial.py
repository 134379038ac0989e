"""Which way a document is asked by, when several are on trial."""

from __future__ import annotations

import pytest

from core_engine.errors import SettingsError
from core_engine.identity import document_id, share
from core_engine.keys import Spec
from core_engine.planner import Asked, Variant
from core_engine.trial import ways

DOCUMENTS = [document_id("default", f"talks/{number}.txt") for number in range(4_000)]


def _asked(*untils: float) -> Asked:
    variants = tuple(Variant(Spec("extract", {"model": f"m{at}"}), at, until) for at, until in enumerate(untils))
    return Asked(variants[0].extract, 0, None, None, variants)


def test_no_variants_are_no_trial() -> None:
    assert ways("m", None, None, None, None) == ()


def test_shares_are_even_or_as_given() -> None:
    assert [way.until for way in ways("m", None, "a,b,c,d", None, None)] == [0.25, 0.5, 0.75, 1.0]
    assert [(way.model, way.until) for way in ways("m", None, "a, b", None, "80/20")] == [("a", 0.8), ("b", 1.0)]
    assert [way.until for way in ways("m", None, None, "a.md,b.md,c.md", "1/1/2")] == [0.25, 0.5, 1.0]
    assert [(way.model, way.prompt) for way in ways("m", "p", "a,b", None, None)] == [("a", "p"), ("b", "p")]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("a,b", "x.md,y.md", None), "at once would not tell"),
        ((None, None, "50/50"), "--split is about variants"),
        (("a", None, None), "name 2 to 8 different ones"),
        (("a,a", None, None), "name 2 to 8 different ones"),
        ((",".join("abcdefghi"), None, None), "name 2 to 8 different ones"),
        (("a,b", None, "50"), "give 2 shares above 0, such as 80/20"),
        (("a,b", None, "100/0"), "shares above 0"),
        (("a,b", None, "x/y"), "shares above 0"),
        (("a,b", None, "-1/2"), "shares above 0"),
        (("a,b,c", None, "50/50"), "give 3 shares above 0, such as 50/25/25"),
    ],
)
def test_what_is_no_trial_is_refused(arguments: tuple[str | None, str | None, str | None], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        ways("m", None, *arguments)


def test_documents_are_spread_by_their_shares() -> None:
    found = [_asked(0.8, 1.0).variant(document) for document in DOCUMENTS]
    assert 0.77 < found.count(0) / len(found) < 0.83


def test_a_document_stays_where_it_is_whatever_else_is_there_and_moves_only_as_far_as_a_border_does() -> None:
    before, after = _asked(0.5, 1.0), _asked(0.6, 1.0)
    moved = [document for document in DOCUMENTS if before.variant(document) != after.variant(document)]
    assert all(0.5 <= share(document) < 0.6 for document in moved)
    assert moved


def test_without_a_trial_there_is_one_way() -> None:
    asked = Asked(Spec("extract", {}), 7, None, None)
    assert asked.variant(DOCUMENTS[0]) == 0
    assert asked.way(0)[1] == 7
