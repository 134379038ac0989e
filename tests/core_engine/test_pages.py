"""What is long, in pieces."""

from __future__ import annotations

from core_engine.pages import Spill, pages, sized_pages


def test_pages_are_full_but_the_last():
    assert list(pages(range(5), 2)) == [[0, 1], [2, 3], [4]]
    assert list(pages([], 2)) == []


def test_sized_pages_hold_no_more_than_their_size_but_for_one_that_is_larger():
    assert list(sized_pages([3, 3, 9, 1, 1, 1], lambda size: size, 2, 6)) == [[3, 3], [9], [1, 1], [1]]


def test_a_spill_gives_back_what_it_was_given_in_order():
    rows = [(b"\0b", None), ("é", 2), (b"\0b", b"")]
    with Spill(2) as spill:
        spill.add(rows[:1])
        spill.add(iter(rows[1:]))
        assert list(spill.pages(2)) == [rows[:2], rows[2:]]
        assert list(spill.pages(9)) == [rows]
