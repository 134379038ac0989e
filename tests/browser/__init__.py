"""A real browser for tests of pages: Chromium without a window."""
