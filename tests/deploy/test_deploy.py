"""What lies in deploy/ works as it stands: rules, dashboards, the night's script, units, compose."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from metrics.observers.prometheus import NAMES
from tests.kg import write_meetings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
RULES = DEPLOY / "prometheus" / "kg.rules.yml"
DASHBOARDS = sorted((DEPLOY / "grafana" / "dashboards").glob("*.json"))
_NAME = re.compile(r"\bkg_[a-z_]+\b")


def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        if os.environ.get("KG_REQUIRE_PROMTOOL"):
            pytest.fail("promtool is not there, and KG_REQUIRE_PROMTOOL is set")
        pytest.skip("promtool is not there (Debian: the package prometheus)")
    return found


@pytest.mark.parametrize(
    "words",
    [("check", "rules", "kg.rules.yml"), ("test", "rules", "kg.rules.test.yml"), ("check", "config", "prometheus.yml")],
)
def test_prometheus_takes_the_rules_and_each_alert_fires_when_it_should(words):
    ran = subprocess.run([promtool(), *words], cwd=RULES.parent, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def alerts() -> list[str]:
    return re.findall(r"- alert: (\w+)", RULES.read_text("utf-8"))


def test_each_alert_is_tested_and_has_a_section_in_the_runbook_that_says_what_to_do():
    tests = (RULES.parent / "kg.rules.test.yml").read_text("utf-8")
    runbook = (ROOT / "docs" / "runbook.md").read_text("utf-8")
    assert len(alerts()) >= 7
    for name in alerts():
        assert f"alertname: {name}\n        exp_alerts:\n          - " in tests, name
        section = re.search(rf"^## {name}\n(.*?)(?=^## |\Z)", runbook, re.MULTILINE | re.DOTALL)
        assert section, name
        assert f"runbook: docs/runbook.md#{name.lower()}" in RULES.read_text("utf-8")
        assert "**Look at**" in section[1]
        assert "**Do**" in section[1]
    assert set(re.findall(r"^## (Kg\w+)$", runbook, re.MULTILINE)) == set(alerts())


def test_rules_use_only_metrics_that_there_are():
    assert (
        set(
            _NAME.findall("".join(re.findall(r"expr: .*?(?=\n +(?:for|labels):)", RULES.read_text("utf-8"), re.DOTALL)))
        )
        <= NAMES
    )


def expressions(dashboard: dict[str, Any]) -> list[str]:
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    return asked + [one["query"]["query"] for one in dashboard["templating"]["list"] if one["type"] == "query"]


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
def test_dashboards_use_only_metrics_that_there_are_and_each_panel_has_its_own_place(file):
    dashboard = json.loads(file.read_text("utf-8"))
    for asked in expressions(dashboard):
        names = set(_NAME.findall(asked))
        assert names, asked
        assert names <= NAMES, asked
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in dashboard["panels"])
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
def test_prometheus_can_read_what_dashboards_ask(file, tmp_path):
    """As recording rules, which promtool parses."""
    rules = []
    for number, asked in enumerate(expressions(json.loads(file.read_text("utf-8")))):
        if asked.startswith("label_values("):
            continue
        filled = asked.replace("$__range", "1d").replace("$workspace", ".*").replace("$persona", ".*")
        rules.append({"record": f"r{number}", "expr": filled})
    written = tmp_path / "rules.yml"
    written.write_text(json.dumps({"groups": [{"name": "g", "rules": rules}]}), encoding="utf-8")  # JSON is YAML
    ran = subprocess.run([promtool(), "check", "rules", written], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


# --- the night's script ----------------------------------------------------------------------------------------------


@pytest.fixture
def night(tmp_path):
    """The script in an environment as bare as cron's, with this checkout's kg in ~/.local/bin."""
    tools = tmp_path / ".local" / "bin"
    tools.mkdir(parents=True)
    kg = tools / "kg"
    kg.write_text(f"#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -c 'import kg_batch; kg_batch.main()' \"$@\"\n")
    kg.chmod(0o755)
    folder = tmp_path / "kg"
    write_meetings(folder / "transcripts", 1)
    (folder / "kg.toml").write_text("no_model = true\n", encoding="utf-8")

    def run(**env: str) -> subprocess.CompletedProcess[str]:
        bare = {"HOME": str(tmp_path), "LOGNAME": "kg", "SHELL": "/bin/sh", "PATH": "/usr/bin:/bin", **env}
        command = ["/bin/sh", "-c", str(DEPLOY / "cron" / "kg-nightly")]
        return subprocess.run(command, env=bare, cwd=tmp_path, capture_output=True, text=True, check=False)

    return run


def test_a_good_night_says_nothing_so_that_cron_mails_nothing(night, tmp_path):
    ran = night(PROM_FILE=str(tmp_path / "kg.prom"))
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    assert 'kg_last_run_exit_code{workspace="default"} 0.0' in (tmp_path / "kg.prom").read_text("utf-8")


def test_a_bad_night_says_what_is_wrong_and_keeps_the_exit_code(night, tmp_path):
    (tmp_path / "kg" / "transcripts" / "broken.json").write_text("{", encoding="utf-8")
    ran = night(PROM_FILE=str(tmp_path / "kg.prom"))
    assert ran.returncode == 2
    assert "exit code 2" in ran.stdout
    assert 'kg_last_run_exit_code{workspace="default"} 2.0' in (tmp_path / "kg.prom").read_text("utf-8")
    ran = night(TRANSCRIPTS="nowhere")
    assert ran.returncode == 1
    assert "nowhere" in ran.stdout


def test_a_night_during_another_run_waits_and_then_says_who_holds_the_workspace(night, tmp_path):
    from core_engine.ledger.lock import RunLock

    with RunLock(tmp_path / "kg" / ".kg" / "default" / "lock"):
        ran = night(KG_WAIT="0")
    assert ran.returncode == 4
    assert "exit code 4" in ran.stdout


def test_a_metrics_file_that_can_not_be_written_is_told(night, tmp_path):
    ran = night(PROM_FILE=str(tmp_path / "missing" / "kg.prom"))
    assert ran.returncode == 1
    assert "missing/kg.prom" in ran.stdout


def test_the_crontab_has_five_fields_a_line_and_sets_what_the_script_reads():
    lines = [
        line for line in (DEPLOY / "cron" / "kg.crontab").read_text("utf-8").splitlines() if line and line[0] != "#"
    ]
    jobs = [line for line in lines if not re.match(r"\w+=", line)]
    assert len(jobs) == 2
    for job in jobs:
        assert re.match(r"(\d+|\*) +(\d+|\*) +\* +\* +\* +\S", job), job
        assert "%" not in job  # a line break to cron
    script = (DEPLOY / "cron" / "kg-nightly").read_text("utf-8")
    for line in lines:
        if line not in jobs and not line.startswith("MAILTO="):
            assert f"${{{line.partition('=')[0]}:-" in script


def test_systemd_takes_the_units(tmp_path):
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not there")
    for unit in (DEPLOY / "systemd").iterdir():
        (tmp_path / unit.name).write_text(unit.read_text("utf-8").replace("%h/kg/kg-nightly", "/bin/true"))
    command = [analyze, "--user", "verify", str(tmp_path / "kg.timer"), str(tmp_path / "kg.service")]
    ran = subprocess.run(command, env={"XDG_RUNTIME_DIR": str(tmp_path), "PATH": "/usr/bin:/bin"}, capture_output=True,
                         text=True, check=False)  # fmt: skip
    assert (ran.returncode, ran.stderr) == (0, "")


# --- containers ------------------------------------------------------------------------------------------------------


def test_the_image_is_given_all_that_the_wheel_is_built_from():
    copied = re.findall(r"^COPY (.+)$", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    words = {word for line in copied for word in line.split()[:-1]}
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line.startswith("!")}
    assert words == allowed
    assert all((ROOT / word).exists() for word in words)
    assert {"kg_batch", "cli", "core_engine", "metrics", "pyproject.toml", "README.md", "LICENSE"} <= words


def test_compose_provisions_what_there_is_and_opens_nothing_to_the_network():
    text = (ROOT / "docker-compose.yml").read_text("utf-8")
    for path in re.findall(r"- (\./[\w./-]+):", text):
        assert (ROOT / path).exists(), path
    ports = re.findall(r'"([\d.:]+:\d+)"', text)
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)
    declared = set(re.findall(r"^  (\w+):$", text[text.index("\nvolumes:") :], re.MULTILINE))
    used = set(re.findall(r"\b(\w+_(?:home|metrics|data)):/", text))
    assert used == declared
