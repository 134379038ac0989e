"""The wheel: what is in it, and that it works alone, on each Python that is here."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SAMPLE = "Ann Lee: Northwind Mills will ship the Falcon project to Rotterdam.\nBob Marsh: I told Northwind Mills so.\n"
REQUIRED = os.environ.get("KG_REQUIRE_WHEEL") == "1"

# A program of somebody else that has a package of the same name as one of our folders.
NEIGHBOUR = "import kg_batch, metrics, sys; assert metrics.mine and 'core_engine' not in sys.modules"


@pytest.fixture(scope="module")
def uv() -> str:
    found = os.environ.get("UV") or shutil.which("uv")
    if found is None:
        pytest.skip("uv is not here")
    return found


@pytest.fixture(scope="module")
def wheel(uv: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    _fetching(uv, "build", "--wheel", "--out-dir", str(folder), str(ROOT))
    (built,) = folder.glob("*.whl")
    return built


def test_one_top_level_name_is_installed(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.partition("/")[0] for name in archive.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"kg_batch"}


def test_all_that_the_program_reads_is_in_the_wheel(wheel: Path) -> None:
    tops = ("cli", "core_engine", "metrics")
    files = {
        path for top in tops for path in (ROOT / top).rglob("*") if path.is_file() and "__pycache__" not in path.parts
    }
    wanted = {f"kg_batch/{path.relative_to(ROOT).as_posix()}" for path in files}
    assert any(name.endswith(".md") for name in wanted)
    with zipfile.ZipFile(wheel) as archive:
        assert wanted - set(archive.namelist()) == set()


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_it_installs_in_an_empty_environment_and_runs_from_there(
    version: str, uv: str, wheel: Path, tmp_path: Path
) -> None:
    python = _interpreter(uv, version)
    venv = tmp_path / "venv"
    _run(uv, "venv", "--quiet", "--python", python, str(venv))
    exact = str(ROOT / "constraints.txt")
    _fetching(uv, "pip", "install", "--quiet", "--python", str(venv), "--constraints", exact, str(wheel))

    programs = venv / ("Scripts" if os.name == "nt" else "bin")
    kg = str(programs / "kg")
    (tmp_path / "meeting.txt").write_text(SAMPLE, "utf-8")
    assert "process" in _run(kg, "--help", cwd=tmp_path)
    told = _run(kg, "process", "meeting.txt", cwd=tmp_path)
    assert "1 written" in told
    assert "nothing was new" in _run(kg, "process", "meeting.txt", cwd=tmp_path)

    (tmp_path / "metrics.py").write_text("mine = True\n", "utf-8")
    _run(str(programs / "python"), "-c", NEIGHBOUR, cwd=tmp_path)


def _interpreter(uv: str, version: str) -> str:
    if sys.version_info[:2] == tuple(map(int, version.split("."))):
        return sys.executable
    find = [uv, "python", "find", "--no-python-downloads", "--no-project", version]
    told = subprocess.run(find, capture_output=True, text=True, check=False)
    if told.returncode == 0:
        return told.stdout.strip()
    # pyenv keeps versions that are installed, but not chosen, where uv can't run them.
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    for found in sorted(pyenv.glob(f"versions/{version}.*/bin/python")):
        return str(found)
    pytest.skip(f"Python {version} is not here")


def _fetching(*command: str) -> None:
    """Run a uv command on what its cache holds; with KG_REQUIRE_WHEEL=1, fetch what it lacks, else skip the test."""
    offline = subprocess.run([*command, "--offline"], capture_output=True, text=True, check=False, env=_clean())
    if offline.returncode == 0:
        return
    if not REQUIRED:
        pytest.skip(f"KG_REQUIRE_WHEEL=1 would fetch what is missing: {offline.stderr.strip()[-300:]}")
    _run(*command)


def _run(*command: str, cwd: Path = ROOT) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, encoding="utf-8", check=False, env=_clean())
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def _clean() -> dict[str, str]:
    """The environment without what would lead to this checkout, a model or a server."""
    foreign = ("PYTHONPATH", "VIRTUAL_ENV", "OPENAI_", "KG_", "NEO4J_", "QDRANT_")
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
