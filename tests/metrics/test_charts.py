"""Plots: round numbers on the axes, everything inside, words escaped."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest

from metrics.pages.charts import HEIGHT, WIDTH, Axis, Line, Series, bar, columns, curves, ticks, ticks_between

AXIS = Axis(3, 0, 10, lambda value: f"{value:g} s")


@pytest.mark.parametrize(
    ("most", "least", "expected"),
    [
        (7, 0, [0, 2, 4, 6, 8]),
        (0.003, 0, [0, 0.001, 0.002, 0.003]),
        (1234, 0, [0, 500, 1000, 1500]),
        (1, 0, [0, 0.25, 0.5, 0.75, 1]),
        (1, 1, [0, 1]),
        (0, 0, [0, 1]),
        (float("nan"), 0, [0, 1]),
        (float("inf"), 0, [0, 1]),
    ],
)
def test_ticks_are_round_and_reach_the_most(most: float, least: float, expected: list[float]) -> None:
    assert ticks(most, least) == pytest.approx(expected)


def test_long_spans_have_the_ticks_of_a_clock() -> None:
    assert ticks_between(0, 3.3) == [0, 1, 2, 3]
    assert ticks_between(0, 400) == [0, 120, 240, 360]
    assert ticks_between(0, 90_000) == [0, 21_600, 43_200, 64_800, 86_400]
    assert ticks_between(1, 1) == [1]


def _numbers(drawing: str, name: str) -> list[float]:
    return [float(value) for value in re.findall(rf'\b{name}="(-?[\d.]+)"', drawing)]


def test_columns_stand_on_each_other_inside_the_plot() -> None:
    plot = columns("calls", AXIS, [Series("chat", [1, 2, 0]), Series("embedding", [1, None, 5])], str)
    ET.fromstring(plot.drawing)  # well-formed
    assert plot.legend == [(1, "chat"), (2, "embedding")]
    assert plot.drawing.count('class="s1"') == plot.drawing.count('class="s2"') == 2
    assert all(0 <= x <= WIDTH for x in _numbers(plot.drawing, "x"))
    assert all(0 <= y <= HEIGHT for y in _numbers(plot.drawing, "y"))
    assert "10 s to 20 s: chat 2" in plot.drawing


def test_a_limit_is_drawn_where_it_is_near_and_named_where_it_is_far_above() -> None:
    series = [Series("calls", [4, 6, 8])]
    near = columns("calls", AXIS, series, str, [Line("limit: 10", 10)])
    assert "limit: 10" in near.drawing
    assert near.beside == []
    far = columns("calls", AXIS, series, str, [Line("limit: 500", 500)])
    assert "limit: 500" not in far.drawing
    assert [line.name for line in far.beside] == ["limit: 500"]


def test_a_curve_is_broken_where_it_has_no_value() -> None:
    axis = Axis(5, 0, 1, str)
    plot = curves("latency", axis, [Series("p50", [1, 2, None, 3, None])], str)
    assert plot.drawing.count("<polyline") == 1
    assert plot.drawing.count("<circle") == 1


def test_words_in_a_plot_are_words() -> None:
    evil = "</text><script>x</script>\"'"
    plot = columns(evil, AXIS, [Series(evil, [1, 2, 3])], lambda _: evil, [Line(evil, 3)])
    ET.fromstring(plot.drawing)
    assert "<script" not in plot.drawing


def test_nothing_at_all_is_an_empty_plot() -> None:
    plot = columns("nothing", Axis(0, 0, 1, str), [Series("calls", [])], str)
    ET.fromstring(plot.drawing)
    assert bar([0.0], 0.0).count("<rect") == 0


def test_the_parts_of_a_bar_fill_it() -> None:
    assert sum(_numbers(bar([1, 3], 4), "width")) == pytest.approx(100)
