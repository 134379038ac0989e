"""What a page is made of: tiles, plots, tables, sections. The template lays them out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from metrics.pages.charts import Plot


@dataclass(frozen=True, slots=True)
class Tile:
    name: str
    value: str
    about: str = ""


@dataclass(frozen=True, slots=True)
class Card:
    """A plot with its title and what there is to say about it."""

    title: str
    about: str
    drawing: Markup
    legend: Sequence[tuple[int, str]]


@dataclass(frozen=True, slots=True)
class Column:
    """`number`: to the right; `words`: wide enough for some."""

    name: str
    number: bool = False
    words: bool = False


@dataclass(frozen=True, slots=True)
class Cell:
    text: str = ""
    link: str = ""
    drawing: Markup | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """`bare`: it stands in a fold that has its title."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    about: str = ""
    bare: bool = False

    @property
    def wide(self) -> bool:
        return len(self.columns) > 3


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    plots: Sequence[Card] = ()
    tables: Sequence[Table] = ()


@dataclass(frozen=True, slots=True)
class Listing:
    title: str
    lines: Sequence[str]


@dataclass(frozen=True, slots=True)
class Link:
    text: str
    href: str


def card(title: str, about: str, plot: Plot) -> Card:
    """A plot as a card, with the lines that were too far above for it in words."""
    if plot.beside:
        about += " Far above: " + ", ".join(line.name for line in plot.beside) + "."
    return Card(title, about, drawn(plot.drawing), plot.legend)


def table(
    title: str, names: Sequence[str], rows: Iterable[Sequence[str | Cell]], about: str = "", *, bare: bool = False
) -> Table:
    """A table. A column whose name begins with # stands to the right, one whose name begins with ~ has room for words."""
    columns = [Column(name.lstrip("#~"), name.startswith("#"), name.startswith("~")) for name in names]
    cells = [[cell if isinstance(cell, Cell) else Cell(cell) for cell in row] for row in rows]
    return Table(title, columns, cells, about, bare)


def drawn(text: str) -> Markup:
    """A drawing of ours as it is: charts.py escapes the words in it."""
    return Markup(text)  # noqa: S704
