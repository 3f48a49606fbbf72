"""A real browser for tests: Debian's Chromium without a window, driven by Playwright."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, sync_playwright


def installed() -> dict[str, Any]:
    """How Playwright launches the Chromium of this machine."""
    path = shutil.which("chromium")
    if path is None:
        raise RuntimeError("chromium is missing; install it first: apt-get install chromium")
    # The sandbox needs another user than root.
    return {"executable_path": path, "args": ["--no-sandbox"] if os.geteuid() == 0 else []}


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser, closed in the end."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**installed())
        yield browser
        browser.close()
