"""How soon the page of `kg view` is there in headless Chromium, and how smoothly it moves.

    python -m tests.benchmarks.bench_view [--nodes 5000] [--edges 15000] [--rounds 5]

The page is of a made graph. Opening is counted from the call to the first picture; a frame is what one turn of the wheel
takes to be painted, without a graphics card. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright

from core_engine.view.page import page
from tests.browser.fixture import executable
from tests.core_engine.view.sample import view_graph

_FRAMES = """async () => {
  const canvas = document.getElementById("canvas"), times = [];
  for (let n = 0; n < 30; n++) {
    const began = performance.now();
    canvas.dispatchEvent(new WheelEvent("wheel", { deltaY: n % 2 ? 120 : -120, clientX: 640, clientY: 400, cancelable: true }));
    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    times.push(performance.now() - began);
  }
  return times;
}"""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--nodes", type=int, default=5_000)
    options.add_argument("--edges", type=int, default=15_000)
    options.add_argument("--rounds", type=int, default=5)
    chosen = options.parse_args()
    path = executable()
    if path is None:
        sys.exit("no Chromium here")
    graph = view_graph(chosen.nodes, chosen.edges)
    began = time.perf_counter()
    text = page(graph, "Benchmark", "1")
    made = time.perf_counter() - began
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        file = Path(folder, "graph.html")
        file.write_text(text, "utf-8")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        _opened(browser, file)
        rounds = [_opened(browser, file) for _ in range(chosen.rounds)]
        browser.close()
    opened, frames = [seconds for seconds, _ in rounds], sorted(ms for _, some in rounds for ms in some)
    told: dict[str, Any] = {
        "nodes": len(graph.nodes),
        "edges": len(graph.edges),
        "page_mb": round(len(text.encode()) / 1e6, 1),
        "made_s": round(made, 2),
        "opened_s": round(statistics.median(opened), 2),
        "opened_s_worst": round(max(opened), 2),
        "bar_s": 3,
        "frame_ms_median": round(statistics.median(frames)),
        "frame_ms_p95": round(frames[int(len(frames) * 0.95)]),
    }
    json.dump(told, sys.stdout, indent=2)
    print()


def _opened(browser: Browser, file: Path) -> tuple[float, list[float]]:
    shown = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
    began = time.perf_counter()
    shown.goto(file.as_uri())
    shown.wait_for_selector("html[data-ready]")
    shown.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    seconds = time.perf_counter() - began
    frames = shown.evaluate(_FRAMES)
    shown.context.close()
    return seconds, frames


if __name__ == "__main__":
    main()
