"""Plots as inline SVG: their colours are classes that the page's style gives, so that they follow light, dark and print.

They are drawn for a card of a phone's width, so that their letters can be read there; wider screens show several abreast.
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import svg

WIDTH, HEIGHT = 380, 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 10, 12, 26
_LETTERS = 14  # high, with some air
_MUCH_ABOVE = 2.5  # a limit that is so many times what was used is told in words, lest it flatten the plot

Format = Callable[[float], str]
_Anchor = Literal["start", "middle", "end"]


@dataclass(frozen=True, slots=True)
class Series:
    """A name, and a value for each place on the x axis; None where there is none."""

    name: str
    values: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Line:
    """A line across the plot, such as a limit."""

    name: str
    value: float


@dataclass(frozen=True, slots=True)
class Axis:
    """The x axis: `places` bins from `first` on, each `width` wide, and how a value on it is said."""

    places: int
    first: float
    width: float
    said: Format

    def name(self, place: int) -> str:
        """What a bin spans, in words."""
        begin = self.first + place * self.width
        return f"{self.said(begin)} to {self.said(begin + self.width)}"


@dataclass(frozen=True, slots=True)
class Plot:
    """What is drawn: `drawing` is SVG, `legend` the names of the series by their colour's number from 1.

    `beside`: lines that are too far above for the plot.
    """

    drawing: str
    legend: Sequence[tuple[int, str]]
    beside: Sequence[Line] = ()


def columns(
    title: str, axis: Axis, series: Sequence[Series], said: Format, lines: Sequence[Line] = (), *, whole: bool = False
) -> Plot:
    """Stacked columns, with lines such as limits across them. `whole`: they count something."""
    sums = [sum(one.values[at] or 0 for one in series) for at in range(axis.places)]
    most = max(sums, default=0)
    near = [line for line in lines if line.value <= most * _MUCH_ABOVE]
    frame = _Frame(axis, max([most, *(line.value for line in near)]), said, whole=whole)
    drawn: list[svg.Element] = []
    gap = 1 if frame.step > 3 else 0
    for at in range(axis.places):
        below = 0.0
        for number, one in enumerate(series, 1):
            value = one.values[at] or 0
            if value:
                top, bottom = frame.y(below + value), frame.y(below)
                x = _rounded(frame.x(at))
                width = _rounded(max(frame.step - gap, 0.5))
                height = _rounded(max(bottom - top, 0.5))
                drawn.append(svg.Rect(class_=[f"s{number}"], x=x, y=_rounded(top), width=width, height=height))
            below += value
    drawn += frame.across(near)
    drawn += frame.tips(series)
    beside = [line for line in lines if line not in near]
    return Plot(frame.drawn(title, drawn), list(enumerate((one.name for one in series), 1)), beside)


def curves(title: str, axis: Axis, series: Sequence[Series], said: Format, *, whole: bool = False) -> Plot:
    """A curve for each series, broken where it has no value. `whole`: they count something."""
    most = max((value for one in series for value in one.values if value is not None), default=0)
    frame = _Frame(axis, most, said, whole=whole)
    drawn: list[svg.Element] = []
    for number, one in enumerate(series, 1):
        for part in _parts(one.values):
            points = [(frame.x(at) + frame.step / 2, frame.y(one.values[at] or 0)) for at in part]
            if len(points) == 1:
                (x, y) = points[0]
                drawn.append(svg.Circle(class_=[f"s{number}"], cx=_rounded(x), cy=_rounded(y), r=2))
            else:
                rounded = [svg.Point(_rounded(x), _rounded(y)) for x, y in points]
                drawn.append(svg.Polyline(class_=["curve", f"c{number}"], points=rounded))
    drawn += frame.tips(series)
    return Plot(frame.drawn(title, drawn), list(enumerate((one.name for one in series), 1)))


def bar(parts: Sequence[float], whole: float) -> str:
    """A bar in a cell of a table: its parts one behind the other, as shares of the whole."""
    drawn: list[svg.Element] = []
    x = 0.0
    for number, part in enumerate(parts, 1):
        width = 100 * part / whole if whole > 0 else 0
        if width > 0:
            rect = svg.Rect(class_=[f"s{number}"], x=_rounded(x), y=0, width=max(_rounded(width), 0.5), height=10)
            drawn.append(rect)
        x += width
    box = svg.ViewBoxSpec(0, 0, 100, 10)
    drawing = svg.SVG(
        xmlns=None,
        viewBox=box,
        class_=["bar"],
        elements=drawn,
        preserveAspectRatio=svg.PreserveAspectRatio("none"),
        extra={"aria-hidden": "true"},
    )
    return str(drawing)


class _Frame:
    """The axes of a plot, and where a value stands between them."""

    def __init__(self, axis: Axis, most: float, said: Format, *, whole: bool) -> None:
        self._axis = axis
        self._said = said
        self._ticks = ticks(most, 1 if whole else 0)
        self._most = self._ticks[-1] or 1
        self.step = (WIDTH - _LEFT - _RIGHT) / max(axis.places, 1)

    def x(self, place: float) -> float:
        return _LEFT + place * self.step

    def y(self, value: float) -> float:
        return HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * value / self._most

    def across(self, lines: Sequence[Line]) -> list[svg.Element]:
        """Dashed lines, each with its name above it; below it where another name is too near above."""
        found: list[svg.Element] = []
        before = -math.inf
        for line in sorted(lines, key=lambda each: -each.value):
            y = _rounded(self.y(line.value))
            said = y - 3 if y - before > _LETTERS else y + 11
            before = y
            name = svg.Text(class_=["limit"], x=WIDTH - _RIGHT, y=said, text_anchor="end", text=_text(line.name))
            found += (svg.Line(class_=["limit"], x1=_LEFT, x2=WIDTH - _RIGHT, y1=y, y2=y), name)
        return found

    def tips(self, series: Sequence[Series]) -> list[svg.Element]:
        """What the pointer is told: over each place, all values there."""
        found: list[svg.Element] = []
        for at in range(self._axis.places):
            values = [(one.name, one.values[at]) for one in series]
            said = [f"{name} {self._said(value)}" for name, value in values if value]
            if said:
                title = svg.Title(text=_text(f"{self._axis.name(at)}: {', '.join(said)}"))
                found.append(
                    svg.Rect(
                        class_=["tip"],
                        x=_rounded(self.x(at)),
                        y=_TOP,
                        width=_rounded(self.step),
                        height=HEIGHT - _TOP - _BOTTOM,
                        elements=[title],
                    )
                )
        return found

    def drawn(self, title: str, drawn: Sequence[svg.Element]) -> str:
        elements: list[svg.Element] = []
        for tick in self._ticks:
            y = _rounded(self.y(tick))
            elements.append(svg.Line(class_=["grid"], x1=_LEFT, x2=WIDTH - _RIGHT, y1=y, y2=y))
            said = _text(self._said(tick))
            elements.append(svg.Text(class_=["tick"], x=_LEFT - 6, y=y + 4, text_anchor="end", text=said))
        elements += drawn
        elements += self._below()
        drawing = svg.SVG(
            xmlns=None,
            viewBox=svg.ViewBoxSpec(0, 0, WIDTH, HEIGHT),
            class_=["plot"],
            elements=elements,
            extra={"role": "img", "aria-label": _text(title)},
        )
        return str(drawing)

    def _below(self) -> list[svg.Element]:
        axis = self._axis
        last = axis.first + axis.places * axis.width
        found: list[svg.Element] = []
        for tick in ticks_between(axis.first, last):
            x = _rounded(_LEFT + (tick - axis.first) / axis.width * self.step)
            anchor: _Anchor = "start" if x < _LEFT + 8 else "end" if x > WIDTH - _RIGHT - 12 else "middle"
            text = _text(axis.said(tick))
            found.append(svg.Text(class_=["tick"], x=x, y=HEIGHT - 8, text_anchor=anchor, text=text))
        return found


def ticks(most: float, least: float = 0) -> list[float]:
    """Round numbers from 0 to at least `most`, two to six of them, `least` apart or more."""
    if not math.isfinite(most) or most <= 0:
        return [0.0, 1.0]
    step = max(_round_step(most / 4), least)
    return [step * number for number in range(math.ceil(most / step - 1e-9) + 1)]


def ticks_between(first: float, last: float) -> list[float]:
    """Round numbers between the two, at most six; of a long span they are round as clocks count seconds."""
    span = last - first
    if span <= 0:
        return [first]
    by_clock = [each for each in _CLOCK if span / each <= 5] if span > 60 else []
    step = by_clock[0] if by_clock else _round_step(span / 4)
    begin = math.ceil(first / step - 1e-9)
    return [step * number for number in range(begin, math.floor(last / step + 1e-9) + 1)]


_CLOCK = (15.0, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400, 172_800, 604_800)


def _round_step(about: float) -> float:
    """1, 2, 2.5 or 5 times a power of ten, the next one above."""
    power: float = 10.0 ** math.floor(math.log10(about))
    return next(each * power for each in (1, 2, 2.5, 5, 10) if each * power >= about * (1 - 1e-9))


def _parts(values: Sequence[float | None]) -> list[list[int]]:
    """The places of values that follow each other without a gap."""
    found: list[list[int]] = []
    for at, value in enumerate(values):
        if value is None:
            continue
        if found and found[-1][-1] == at - 1:
            found[-1].append(at)
        else:
            found.append([at])
    return found


def _rounded(value: float) -> float:
    return round(value, 1)


def _text(text: str) -> str:
    """The text as SVG holds it: the library writes what it is given."""
    return html.escape(text)
