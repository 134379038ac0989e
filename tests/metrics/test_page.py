"""The page of a run, in a real browser."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from cli.pages import draw
from core_engine.ledger.lock import RunLock
from core_engine.ledger.looking import looking
from core_engine.settings import Settings
from tests.browser.fixture import Opened, Opener
from tests.kg import Kg, write_meetings
from tests.openai_server.fixture import start

EVIL = "<script>document.hit=1</script>\"'><img src=x onerror=document.hit=1>{{7*7}}{% if"


def quiet(opened: Opened) -> None:
    """It asked for nothing but itself, ran nothing, and complained of nothing."""
    assert [url for url in opened.requests if not url.startswith("file://")] == []
    assert len(opened.requests) == 1
    assert opened.complaints == []
    assert opened.page.evaluate("document.hit") is None


def fits(opened: Opened) -> None:
    """Nothing sticks out to the side."""
    assert opened.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def outside(kg: Kg, *words: object) -> str:
    """Run in a process of its own: where the browser is, an event loop runs already."""
    out, err = (process := kg.started(*words)).communicate()
    assert process.returncode == 0, err
    return out


@pytest.fixture(scope="module")
def _made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a model in which some went wrong."""
    folder = tmp_path_factory.mktemp("ran")
    write_meetings(folder / "t", 6)
    (folder / "t" / "table.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    faults = [{"kind": "http503", "times": 2}, {"kind": "invalid_json", "times": 1}]
    with start(faults=faults) as server:
        kg = Kg(folder, OPENAI_BASE_URL=server.url, OPENAI_API_KEY="x")
        outside(kg, "process", "t", "--batch-size", 2, "--max-cost", 50, "--quiet")
    return folder


@pytest.fixture
def ran(_made: Path, tmp_path: Path) -> tuple[Kg, dict[str, Any], Path]:
    """The same, free to be changed: its report, and its page."""
    shutil.copytree(_made, tmp_path, dirs_exist_ok=True)
    kg = Kg(tmp_path)
    report = kg("report", "--json").report
    return kg, report, tmp_path / ".kg/default/runs" / report["run_id"] / "report.html"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_of_a_run_is_shown_whole_and_in_silence(ran, open_page: Opener, scheme: str) -> None:
    _, report, path = ran
    opened = open_page(path, color_scheme=scheme)
    page = opened.page
    expect(page.locator("h1")).to_have_text(f"Run {report['run_id']}")
    expect(page.locator(".state")).to_have_text("done, exit 0")
    tiles = dict(
        zip(page.locator(".tiles dt").all_inner_texts(), page.locator(".tiles dd").all_inner_texts(), strict=True)
    )
    assert tiles["chunks"].split()[0] == str(report["chunks"]["total"])
    assert tiles["calls"].split()[0] == str(report["calls"]["chat"] + report["calls"]["embedding"])
    titles = page.locator("h3").all_inner_texts()
    wanted = "Calls a minute|Tokens a minute|Requests under way|Waiting for the limit|Answered|Errors and retries"
    wanted += (
        "|Latency over time|Latency of chat calls|Cost per chunk|Cost per document|By stage and model|Slowest batches"
    )
    assert set(wanted.split("|")) <= set(titles)
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", ground)[:3])) > 382) is (scheme == "light")
    assert page.locator("svg.plot .s1").count() > 20
    fits(opened)
    quiet(opened)


def test_on_a_phone_nothing_sticks_out_and_the_letters_of_the_plots_can_be_read(ran, open_page: Opener) -> None:
    opened = open_page(ran[2], width=400, height=800)
    fits(opened)
    for plot in opened.page.locator("svg.plot").all()[:3]:
        box = plot.bounding_box()
        assert box
        assert 300 < box["width"] <= 400
        assert box["width"] / 380 * 11.5 > 9
    quiet(opened)


def test_printed_it_is_light_and_shows_what_was_folded(ran, open_page: Opener, tmp_path: Path) -> None:
    opened = open_page(ran[2], color_scheme="dark")
    opened.page.emulate_media(media="print", color_scheme="light")
    assert opened.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert opened.page.locator("details td").first.bounding_box()["height"] > 5
    assert len(opened.page.pdf(format="A4")) > 10_000
    quiet(opened)


def test_a_batch_leads_to_its_line_in_the_log(ran, open_page: Opener) -> None:
    _, _, path = ran
    opened = open_page(path)
    link = opened.page.locator("table a").first.get_attribute("href")
    assert link
    assert link.startswith("run.log#:~:text=")
    call = link.removeprefix("run.log#:~:text=")
    assert f'"call_id":"{call}"' in (path.parent / "run.log").read_text(encoding="utf-8")


def test_names_from_elsewhere_are_text_and_nothing_else(ran, open_page: Opener, tmp_path: Path) -> None:
    kg, _, _ = ran
    db = kg.ledger()
    evil = json.dumps(EVIL)[1:-1]
    said = db.execute("SELECT report FROM run").fetchone()[0]
    for place in ("gpt-5-mini", "table.csv", "embedded"):
        said = said.replace(place, evil)
    db.execute("UPDATE run SET report = ?", (said,))
    db.execute("UPDATE document SET name = ?", (EVIL,))
    db.execute("UPDATE call SET model = ?, error_kind = iif(status = 'answered', '', ?), batch = ?", (EVIL, EVIL, EVIL))
    db.close()
    shown = kg("report", "--format", "html", "--out", tmp_path / "evil.html")
    assert shown.out.strip() == str(tmp_path / "evil.html")
    opened = open_page(tmp_path / "evil.html")
    assert opened.page.locator("script, img, iframe, object, form").count() == 0
    expect(opened.page.locator("td", has_text="onerror=document.hit=1>{{7*7}}").first).to_be_visible()
    fits(opened)
    quiet(opened)


def more_calls(kg: Kg, count: int) -> None:
    """So many calls more in the last run, of all lengths, over six hours; of each tenth nothing came."""
    db = kg.ledger()
    names = [row[1] for row in db.execute("PRAGMA table_info(call)")]
    changed = {
        "no": "NULL",
        "id": "printf('%032x', n + 1000000)",
        "batch": "printf('%012x', n / 2)",
        "started_at": f"k.started_at + n * {21_600 / count}",
        "duration_s": "0.5 + (n * 7919 % 1000) / 100.0",
        "status": "iif(n % 10 = 0, 'failed', 'answered')",
        "error_kind": "iif(n % 10 = 0, 'kind ' || (n % 70), '')",
        "cost": "iif(n % 10 = 0, '0', '0.00' || (n % 1000 + 1000))",
    }
    db.execute(
        f"WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < {count}) "
        f"INSERT INTO call ({','.join(names)}) SELECT {','.join(changed.get(name, f'k.{name}') for name in names)} "
        "FROM numbers JOIN (SELECT * FROM call WHERE stage = 'extract' AND status = 'answered' LIMIT 1) k"
    )
    db.close()


def test_ten_thousand_calls_make_a_page_below_a_megabyte(ran, open_page: Opener) -> None:
    kg, _, path = ran
    more_calls(kg, 10_000)
    assert kg("report", "--format", "html").code == 0
    assert path.stat().st_size < 1_000_000
    opened = open_page(path)
    expect(opened.page.locator("td", has_text="kind 10").first).to_be_visible()
    assert opened.page.locator("svg.plot").count() >= 9
    fits(opened)
    quiet(opened)


def test_a_run_that_was_killed_has_a_page_of_what_is_known(ran, open_page: Opener) -> None:
    kg, _, path = ran
    db = kg.ledger()
    db.execute("UPDATE run SET status = 'running', ended_at = NULL, exit_code = NULL, report = NULL")
    db.execute("UPDATE call SET status = 'sent', cost = NULL, duration_s = 0 WHERE no = (SELECT max(no) FROM call)")
    db.close()
    path.unlink()
    assert kg("report", "--format", "html").code == 0
    opened = open_page(path)
    expect(opened.page.locator(".state")).to_have_text("killed")
    expect(opened.page.locator("header")).to_contain_text("ended without a word")
    expect(opened.page.locator("h3", has_text="Calls a minute")).to_be_visible()
    quiet(opened)
    with RunLock(kg.folder / ".kg/default/lock"):
        assert kg("report", "--format", "html").code == 0
    going = open_page(path)
    expect(going.page.locator(".state")).to_have_text("running")
    expect(going.page.locator("header")).to_contain_text("is still going on")
    quiet(going)


def test_a_run_with_nothing_to_do_has_a_page_that_says_so(tmp_path: Path, open_page: Opener) -> None:
    kg = Kg(tmp_path)
    write_meetings(tmp_path / "t", 1)
    outside(kg, "process", "t")
    (tmp_path / "t" / "m0.txt").rename(tmp_path / "m0.txt")
    (tmp_path / "t" / "only.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    report = json.loads(outside(kg, "process", "t", "--json"))
    assert report["chunks"]["total"] == 0
    opened = open_page(tmp_path / ".kg/default/runs" / report["run_id"] / "report.html")
    expect(opened.page.locator("header")).to_contain_text("There was no chunk to work on.")
    assert "nan" not in opened.page.locator("body").inner_text().lower()
    fits(opened)
    quiet(opened)


def test_a_page_of_what_a_run_found_lies_beside_its_report(ran, open_page: Opener) -> None:
    kg, _, path = ran
    assert kg("report", "--format", "html", "--graph").code == 0
    opened = open_page(path)
    opened.page.get_by_role("link", name="graph").click()
    opened.page.wait_for_selector("html[data-ready]")
    expect(opened.page.locator("#counts")).to_contain_text("entities")


def test_what_is_forgotten_is_gone_from_the_pages(ran) -> None:
    kg, _, path = ran
    kg("report", "--format", "html", "--graph")
    assert "Ann Lee" in (path.parent / "graph.html").read_text("utf-8")
    assert "m3.txt" in path.read_text("utf-8")
    style = re.search("<style>.*?</style>", path.read_text("utf-8"), re.DOTALL)
    outside(kg, "forget", "m3.txt", "--document", "--yes", "--embedder", "bm25")
    text = path.read_text("utf-8")
    assert "m3.txt" not in text
    assert style
    assert style[0] in text


def test_a_page_is_for_its_owner_alone(ran) -> None:
    assert ran[2].stat().st_mode & 0o777 == 0o600


def test_a_page_that_cannot_be_drawn_takes_nothing_else_down(ran) -> None:
    kg, report, path = ran
    path.unlink()
    path.mkdir()  # no file can be written there
    with looking(kg.folder / ".kg/default/ledger.sqlite3") as db:
        assert draw(db, report, Settings(home=str(kg.folder / ".kg")), path.parent) is None
