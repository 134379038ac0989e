"""The pytest fixture that opens pages in Chromium, started only when a test asks for it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Error, Page, expect, sync_playwright

_PATIENCE_MS = 120_000  # of a machine that does other things too
expect.set_options(timeout=30_000)
_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


@dataclass
class Opened:
    """A page, with all that it asked for, and all that it complained of."""

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


class Opener:
    """Opens files as a double click would: `opener(path, width=400, color_scheme="dark")`."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser

    def __call__(self, path: Path, *, width: int = 1280, height: int = 800, **context: Any) -> Opened:
        page = self._browser.new_context(viewport={"width": width, "height": height}, **context).new_page()
        opened = Opened(page)
        page.on("request", lambda request: opened.requests.append(request.url))
        page.on("console", lambda said: opened.complaints.append(said.text))
        page.on("pageerror", lambda error: opened.complaints.append(str(error)))
        page.on("dialog", lambda dialog: (opened.complaints.append(dialog.message), dialog.dismiss()))
        page.set_default_timeout(_PATIENCE_MS)
        page.goto(path.as_uri())
        return opened


def executable() -> str | None:
    """Chromium's path, or None where there is none."""
    return next((found for name in _NAMES if (found := shutil.which(name))), None)


# For a module and no longer: while it is there, this thread has a running event loop, which other tests would stumble on.
@pytest.fixture(scope="module")
def _chromium() -> Iterator[Browser]:
    path = executable()
    if path is None:
        _missing("none of " + ", ".join(_NAMES) + " is installed")
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        except Error as error:
            _missing(str(error).splitlines()[0])
        yield browser
        browser.close()


@pytest.fixture
def open_page(_chromium: Browser) -> Iterator[Opener]:
    """Skipped where there is no Chromium; with KG_REQUIRE_BROWSER=1 the test fails instead."""
    yield Opener(_chromium)
    for context in _chromium.contexts:
        context.close()


def _missing(reason: str) -> None:
    if os.environ.get("KG_REQUIRE_BROWSER") == "1":
        pytest.fail(f"KG_REQUIRE_BROWSER is set, and there is no browser: {reason}")
    pytest.skip(f"no browser: {reason}")
