"""The page in a real browser."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from core_engine.ledger.around import Said, Where
from core_engine.types import EntityRow
from core_engine.view.graph import ViewEdge, ViewGraph, ViewNode
from core_engine.view.page import page
from tests.browser.fixture import Opened, Opener
from tests.core_engine.view.sample import view_graph

EVIL = (
    "<script>document.hit=1</script>",
    "</script><script>document.hit=1</script>",
    "<img src=x onerror=document.hit=1>",
    '"><svg onload=document.hit=1>',
    "javascript:document.hit=1",
    "<!--<script>",
    "{{data}}",
    "__proto__",
    "\u202egnp.exe\u2066",
    "name " * 2_000,
)


def _ready(opened: Opened) -> Page:
    opened.page.wait_for_selector("html[data-ready]", timeout=60_000)
    return opened.page


def _quiet(opened: Opened) -> None:
    """It asked for nothing but itself, and complained of nothing."""
    assert [url for url in opened.requests if not url.startswith("file://")] == []
    assert len(opened.requests) == 1
    assert opened.complaints == []


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Ann and Acme, joined by a statement in one document and named apart in another."""
    one, two = Where("d1", "board.vtt", 2), Where("d2", "call.txt", 0)
    states = Said(one, 3, "Bob Marsh", 3725.0, 3730.0, "Ann Lee works at Acme <b>now</b>.")
    ann = ViewNode(EntityRow("id-ann", "Ann Lee", ("Person",), ("Ann",), 5), [states], 2, ["d1", "d2"])
    acme = ViewNode(EntityRow("id-acme", "Acme", ("Organization",), (), 2), [states], 1, ["d1"])
    falcon = ViewNode(
        EntityRow("id-falcon", "Falcon", ("Product",), (), 1), [Said(two, 1, None, None, None, "Falcon!")], 1, ["d2"]
    )
    edge = ViewEdge(0, 1, "WORKS_AT", 1, [states], ["d1"])
    path = tmp_path / "small.html"
    path.write_text(
        page(ViewGraph([ann, acme, falcon], [edge], {"d1": "board.vtt", "d2": "call.txt"}, 3, 1), "Small", "1"), "utf-8"
    )
    return path


def test_five_thousand_nodes_open_in_silence(tmp_path: Path, open_page: Opener) -> None:
    path = tmp_path / "large.html"
    path.write_text(page(view_graph(5_000, 15_000), "Large", "1"), "utf-8")
    opened = open_page(path)
    shown = _ready(opened)
    expect(shown.locator("#counts")).to_contain_text("5,000 entities")
    shown.mouse.wheel(0, -400)
    shown.keyboard.press("0")
    _quiet(opened)


def test_searching_and_choosing_shows_the_words_with_speaker_time_and_file(small: Path, open_page: Opener) -> None:
    opened = open_page(small)
    shown = _ready(opened)
    shown.keyboard.press("/")
    shown.keyboard.type("ann")
    expect(shown.locator("#found li")).to_have_count(1)
    shown.keyboard.press("Enter")
    panel = shown.locator("#panel")
    expect(panel.locator("h2")).to_have_text("Ann Lee")
    expect(panel.locator("blockquote").first).to_have_text("Ann Lee works at Acme <b>now</b>.")
    expect(panel.locator("mark").first).to_have_text("Ann Lee")
    expect(panel.locator("figcaption").first).to_have_text("Bob Marsh · 1:02:05 · board.vtt, chunk 3")
    panel.get_by_role("button", name="What says so").click()
    expect(panel.locator(".links blockquote")).to_have_count(1)
    panel.get_by_role("button", name="Acme").click()
    expect(panel.locator("h2")).to_have_text("Acme")
    shown.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    _quiet(opened)


def test_a_click_on_a_node_chooses_it(small: Path, open_page: Opener) -> None:
    opened = open_page(small)
    shown = _ready(opened)
    x, y = shown.evaluate(_FIND_A_NODE)
    shown.mouse.click(x, y)
    expect(shown.locator("#panel h2")).to_have_text(re.compile("Ann Lee|Acme|Falcon"))
    _quiet(opened)


# The nodes lie somewhere on the canvas: the first place where the pointer turns into a hand is one.
_FIND_A_NODE = """() => {
  const canvas = document.getElementById("canvas");
  for (let x = 260; x < innerWidth; x += 6) {
    for (let y = 80; y < innerHeight; y += 6) {
      canvas.dispatchEvent(new PointerEvent("pointermove", { clientX: x, clientY: y }));
      if (canvas.classList.contains("over")) return [x, y];
    }
  }
}"""


def test_filters_hide_and_show(small: Path, open_page: Opener) -> None:
    shown = _ready(open_page(small))
    counts = shown.locator("#counts")
    expect(counts).to_have_text("3 entities, 1 relationships")
    shown.locator("#types label", has_text="Organization").click()
    expect(counts).to_have_text("2 of 3 entities, 0 of 1 relationships")
    shown.locator("#document").select_option(label="call.txt")
    expect(counts).to_have_text("2 of 3 entities, 0 of 1 relationships")
    shown.locator("#reset").click()
    shown.locator("#document").select_option(label="board.vtt")
    expect(counts).to_have_text("2 of 3 entities, 1 relationships")
    shown.locator("#reset").click()
    shown.locator("#weight").fill("3")
    expect(counts).to_have_text("1 of 3 entities, 0 of 1 relationships")
    # What is looked for is shown all the same.
    shown.locator("#search").fill("falcon")
    shown.keyboard.press("Enter")
    expect(shown.locator("#panel h2")).to_have_text("Falcon")
    expect(counts).to_have_text("3 entities, 1 relationships")


def test_everything_is_reached_by_the_keyboard_alone(small: Path, open_page: Opener) -> None:
    shown = _ready(open_page(small))
    reached = set()
    for _ in range(30):
        shown.keyboard.press("Tab")
        reached.add(shown.evaluate("document.activeElement.id || document.activeElement.type"))
    assert {"canvas", "search", "theme", "checkbox", "weight", "document", "reset", "in", "out", "fit"} <= reached


def test_no_name_quote_or_title_runs(tmp_path: Path, open_page: Opener) -> None:
    where = Where("d", EVIL[2], 0)
    nodes = [
        ViewNode(EntityRow(f"i{n}", name, (name[:60],), (name,), 1), [Said(where, 1, name, 1.0, 2.0, name)], 1, ["d"])
        for n, name in enumerate(EVIL)
    ]
    edges = [ViewEdge(n, n + 1, name[:60], 1, nodes[n].said, ["d"]) for n, name in enumerate(EVIL[:-1])]
    path = tmp_path / "evil.html"
    path.write_text(page(ViewGraph(nodes, edges, {"d": EVIL[2]}, len(nodes), len(edges)), EVIL[1], "1"), "utf-8")
    opened = open_page(path)
    shown = _ready(opened)
    expect(shown).to_have_title(EVIL[1])
    for name in EVIL:
        shown.locator("#search").fill(name[:40])
        shown.keyboard.press("Enter")
        expect(shown.locator("#panel h2")).to_be_visible()
        for why in shown.locator("#panel .why").all():
            why.click()
    assert shown.evaluate("document.hit") is None
    assert shown.locator("#panel img, #panel script, #panel svg, #found img").count() == 0
    assert shown.locator("script").count() == 2
    _quiet(opened)


def test_the_policy_forbids_the_network_and_other_scripts(small: Path, open_page: Opener) -> None:
    shown = _ready(open_page(small))
    assert (
        shown.evaluate("fetch('http://127.0.0.1:9/').then(() => 'let through', (error) => error.name)") == "TypeError"
    )
    shown.evaluate(
        "() => { const s = document.createElement('script'); s.textContent = 'document.hit = 1'; document.body.append(s); }"
    )
    assert shown.evaluate("document.hit") is None


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_follows_the_systems_colours_and_fits_a_telephone(small: Path, open_page: Opener, scheme: str) -> None:
    opened = open_page(small, width=400, height=780, color_scheme=scheme)
    shown = _ready(opened)
    assert shown.evaluate("document.documentElement.dataset.theme") == scheme
    assert shown.evaluate("document.documentElement.scrollWidth") <= 400
    shown.locator("#search").fill("ann")
    shown.keyboard.press("Enter")
    box = shown.locator("#panel").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 400
    shown.locator("#filters-button").click()
    expect(shown.locator("#filters")).to_be_visible()
    shown.locator("#theme").click()
    assert shown.evaluate("document.documentElement.dataset.theme") != scheme
    _quiet(opened)
