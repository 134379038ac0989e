"""What holds for the repository as a whole."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import kg_batch
from core_engine.settings import Settings
from tests.neo4j_server.server import Address
from tests.readme import README, runs, shown_help, shown_runs, with_help

ROOT = README.parent
SERVICES = {"genai_prices", "jinja2", "langsmith", "neo4j", "openai", "qdrant_client", "qdrant_edge", "svg", "tiktoken"}


@pytest.fixture(scope="module")
def tracked() -> list[Path]:
    """All files of the repository that are text."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    told = subprocess.run([git, "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True).stdout
    found = [ROOT / name for name in told.decode().split("\0") if name]
    return [path for path in found if path.is_file() and b"\0" not in path.read_bytes()]


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


# --- what must not be in the repository -----------------------------------------------------------------------------


def test_no_lock_file_is_tracked(tracked: list[Path]) -> None:
    assert [path.name for path in tracked if path.name in {"uv.lock", "poetry.lock", "Pipfile.lock"}] == []


def test_no_file_names_a_path_of_somebodys_machine(tracked: list[Path]) -> None:
    machine = re.compile(r"(?<![\w.~*)}>$])/(?:work|root|home|Users)/[\w.-]+")
    assert list(_found(machine, tracked)) == []


def test_no_file_names_a_registrys_host(tracked: list[Path]) -> None:
    host = re.compile(
        r"pypi\.(?:org|python)|pythonhosted\.(?:org)|repo\d?\.maven\.|(?:extra-)?index-url\s*=", re.IGNORECASE
    )
    assert list(_found(host, tracked)) == []


def _found(pattern: re.Pattern[str], paths: list[Path]) -> Iterator[str]:
    for path in paths:
        for number, line in enumerate(path.read_text("utf-8", "replace").splitlines(), 1):
            if found := pattern.search(line):
                yield f"{path.relative_to(ROOT)}:{number}: {found[0]}"


# --- what is loaded -------------------------------------------------------------------------------------------------


def loaded_by(code: str) -> set[str]:
    """The top-level modules that a fresh interpreter has after running the code."""
    told = "\nimport json, sys; print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    run = [sys.executable, "-c", code + told]
    return set(json.loads(subprocess.run(run, cwd=ROOT, check=True, capture_output=True).stdout.splitlines()[-1]))


def test_help_loads_no_services_library() -> None:
    code = "import sys; sys.argv = ['kg', '--help']\nfrom cli.app import run\ntry: run()\nexcept SystemExit: pass"
    loaded = loaded_by(code)
    assert "cli" in loaded
    assert loaded & (SERVICES | {"numpy", "pydantic_settings", "rich.live"}) == set()


def test_the_main_job_is_imported_without_any_service() -> None:
    # Each waits until a run needs it: offline runs are quick.
    assert loaded_by("import cli.process, cli.wiring, cli.estimate") & SERVICES == set()


def test_packages_load_nothing_of_their_own() -> None:
    packages = [path.parent for top in ("cli", "core_engine", "metrics") for path in (ROOT / top).rglob("__init__.py")]
    names = sorted(".".join(path.relative_to(ROOT).parts) for path in packages)
    assert "core_engine.kg.stores" in names
    assert loaded_by("import " + ", ".join(names)) & (SERVICES | {"pydantic", "rich", "typer"}) == set()


# --- versions -------------------------------------------------------------------------------------------------------


def test_the_version_is_the_same_everywhere(project: dict[str, Any]) -> None:
    newest = re.search(r"^## (\d\S*)", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert newest
    assert kg_batch.__version__ == project["project"]["version"] == newest[1]


def exact(project: dict[str, Any]) -> list[Requirement]:
    return [Requirement(line) for line in project["tool"]["uv"]["constraint-dependencies"]]


def test_exact_versions_are_the_same_for_uv_and_pip(project: dict[str, Any]) -> None:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    assert [line for line in lines if not line.startswith("#")] == project["tool"]["uv"]["constraint-dependencies"]


def test_each_dependency_has_an_exact_version_that_it_allows(project: dict[str, Any]) -> None:
    known = {canonicalize_name(each.name): each for each in exact(project)}
    for line in project["project"]["dependencies"] + project["dependency-groups"]["dev"]:
        wanted = Requirement(line)
        (version,) = known[canonicalize_name(wanted.name)].specifier
        assert version.operator == "=="
        assert version.version in wanted.specifier, line


def test_no_exact_version_is_left_of_something_that_nothing_needs(project: dict[str, Any]) -> None:
    left = project["project"]["dependencies"] + project["dependency-groups"]["dev"]
    needed: set[str] = set()
    while left:
        wanted = Requirement(left.pop())
        name = canonicalize_name(wanted.name)
        if name in needed:
            continue
        needed.add(name)
        try:
            left += [line for line in metadata.requires(name) or () if _applies(Requirement(line), wanted.extras)]
        except metadata.PackageNotFoundError:
            continue  # another platform's
    assert {canonicalize_name(each.name) for each in exact(project)} - needed == set()


def _applies(requirement: Requirement, extras: set[str]) -> bool:
    """Whether some platform installs it: only the extras that nobody asked for are left out."""
    marker = str(requirement.marker or "")
    asked = re.findall(r"""extra == ["']([\w-]+)["']""", marker)
    return not asked or bool(set(asked) & extras)


# --- documents ------------------------------------------------------------------------------------------------------


def test_the_help_text_in_the_readme_is_what_kg_prints() -> None:
    readme = README.read_text("utf-8")
    assert {"--help", "process --help"} <= set(shown_help(readme))
    assert readme == with_help(readme), "run `just readme`"


def test_the_runs_in_the_readme_print_what_it_says() -> None:
    shown, printed = shown_runs(README.read_text("utf-8")), runs()
    assert len(shown) == len(printed)
    for said, now in zip(map(_rows, shown), map(_rows, printed), strict=True):
        # Times and run ids differ, and more may be found in the same words; what went in may not differ.
        assert said.keys() == now.keys(), "run `just readme`"
        assert (said["documents"], said["chunks"]) == (now["documents"], now["chunks"]), "run `just readme`"


def _rows(summary: str) -> dict[str, str]:
    return dict(line.strip().partition(" ")[::2] for line in summary.splitlines())


def test_the_example_environment_names_each_variable_and_no_other() -> None:
    text = (ROOT / ".env.example").read_text("utf-8")
    named = set(re.findall(r"^(?:# )?([A-Z][A-Z0-9_]+)=", text, re.MULTILINE))
    known = {variable for item in fields(Settings) for variable in _variables(item)}
    # What is ours has an option too, but for the keys.
    needed = {name for name in known if not name.startswith("KG_")} | {"KG_EMBEDDING_API_KEY"}
    assert named - known == set()
    assert needed - named == set()


def _variables(item: Any) -> set[str]:
    return {f"KG_{item.name.upper()}", *item.metadata.get("env", ())}


def test_every_link_in_the_documents_leads_somewhere(tracked: list[Path]) -> None:
    broken = []
    for page in tracked:
        if page.suffix != ".md" or "transcripts" in page.parts:
            continue
        text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if re.match(r"[a-z]+:", target):
                continue
            name, _, anchor = target.partition("#")
            file = (page.parent / name).resolve() if name else page
            if not file.exists() or (anchor and anchor not in _anchors(file)):
                broken.append(f"{page.relative_to(ROOT)}: {target}")
    assert broken == []


@pytest.mark.neo4j
def test_neo4j_understands_every_query_in_the_documents(tracked: list[Path], neo4j_server: Address) -> None:
    pages = [page.read_text("utf-8") for page in tracked if page.suffix == ".md"]
    queries = [
        query for page in pages for query in re.findall(r"^```cypher\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    ]
    assert queries
    with neo4j_server.driver() as driver:
        for query in queries:
            driver.execute_query(f"EXPLAIN {query}", database_=neo4j_server.database)


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}
