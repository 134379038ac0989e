"""python -m tests.demo [FOLDER]: the samples against the test server, with a local collector for every tracing service.

Nothing leaves the machine. The folder (a new one in the temporary folder without it) has afterwards what the services
got, what Prometheus would read, and the workspace, to look at with every command of kg.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.collectors.fixture import Running
from tests.kg import ROOT, Kg
from tests.openai_server.fixture import start

_FAULTS = [
    {"kind": "http500", "rate": 0.1},
    {"kind": "http429", "rate": 0.05},
    {"kind": "left_out", "times": 2, "stage": "chat"},
    {"kind": "refusal", "times": 3, "stage": "chat"},
]
_PERSONAS = ("ann", "bob")


def main(folder: Path) -> int:
    """Two runs for two personas, and a rerun that buys nothing. The exit code: 0 if all came as it should."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(ROOT / "data" / "transcripts", folder / "transcripts", dirs_exist_ok=True)
    files = sorted(path for path in (folder / "transcripts").rglob("*") if path.is_file())
    halves = (files[::2], files[1::2])
    collectors = Running()
    try:
        with start(faults=_FAULTS, latency="lognormal:0.2:0.4", completion_tokens="lognormal:120:0.5") as server:
            kg = Kg(folder, OPENAI_BASE_URL=server.url, OPENAI_API_KEY="demo", **collectors.env)
            words = ("--yes", "--tag", "team=demo", "--prom-textfile", "kg.prom")
            codes = [
                _code(kg.started("process", *half, "--persona", persona, *words))
                for persona, half in zip(_PERSONAS, halves, strict=True)
            ]
            codes.append(_code(kg.started("process", "transcripts", *words)))
        got = collectors.got()
    finally:
        collectors.stop()
    traces = folder / "traces"
    traces.mkdir(exist_ok=True)
    for service, records in got.items():
        (traces / f"{service}.json").write_text(json.dumps(records, indent=1), encoding="utf-8")
    runs = sorted((folder / ".kg" / "default" / "runs").iterdir())
    print(f"{folder}")
    for run in runs:
        print(f"  {run.relative_to(folder)}: {', '.join(sorted(path.name for path in run.iterdir()))}")
    for service, records in got.items():
        print(f"  traces/{service}.json: {len(records)} records")
    print("  kg.prom: what Prometheus reads")
    print(f"cd {folder}; then kg report, kg usage --by persona, kg logs --calls, kg view, …")
    return (
        0
        if set(codes) <= {0, 2} and set(got) == {"langsmith", "langfuse", "scores", "posthog", "phoenix", "otlp"}
        else 1
    )


def _code(process: subprocess.Popen[str]) -> int:
    out, err = process.communicate()
    if process.returncode not in {0, 2}:
        print(err, file=sys.stderr)
    print(out)
    return process.returncode


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp(prefix="kg-demo-")).absolute()))
