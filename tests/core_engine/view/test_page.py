from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from core_engine.types import EntityRow
from core_engine.view.graph import ViewGraph, ViewNode
from core_engine.view.page import page
from tests.core_engine.view.sample import view_graph


def _one(name: str) -> ViewGraph:
    return ViewGraph([ViewNode(EntityRow("id", name, ("Person",), (name,), 1), [], 1, [])], [], {}, 1, 0)


def _data(text: str) -> dict:
    (found,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    return json.loads(found)


def test_the_same_graph_gives_the_same_page() -> None:
    assert page(view_graph(60, 90), "A", "1") == page(view_graph(60, 90), "A", "1")


@settings(max_examples=60, deadline=None)
@given(st.text() | st.text("</script>!-[]{}&;\"'\\ \u2028\ud800"))
def test_no_name_ends_the_data_or_begins_anything(name: str) -> None:
    text = page(_one(name), name, "1")
    begun = page(_one("x"), "x", "1")
    # However odd the name: as many scripts, comments and elements as with a plain one.
    for sign in ("<script", "</script", "<!--", "<"):
        assert text.count(sign) == begun.count(sign)
    safe = re.sub("[\ud800-\udfff]", "\ufffd", name)
    assert _data(text)["nodes"][0][1] == safe


def test_what_looks_like_a_slot_of_the_page_stays_text() -> None:
    assert _data(page(_one("{{script}} {{data}}"), "{{style}}", "1"))["title"] == "{{style}}"


def test_the_policy_allows_the_pages_own_script_and_style_and_nothing_else() -> None:
    text = page(view_graph(3, 3), "A", "1")
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="(.*?)"', text)
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    hashed = [base64.b64encode(hashlib.sha256(part.encode()).digest()).decode() for part in (script, style)]
    assert policy == (
        f"default-src 'none'; script-src 'sha256-{hashed[0]}'; style-src 'sha256-{hashed[1]}'; "
        "base-uri 'none'; form-action 'none'"
    )
    assert "innerHTML" not in script
    assert not re.search(r"https?://|@import|url\(", script + style)


def test_a_quote_that_many_cite_stands_in_the_page_once() -> None:
    graph = view_graph(30, 40)
    quote = graph.nodes[0].said[0]
    again = [replace(node, said=[quote]) for node in graph.nodes]
    assert page(replace(graph, nodes=again), "A", "1").count(quote.quote) == 1
