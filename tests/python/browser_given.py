"""What the tests in a browser start from: Debian's Chromium without a window, a service, and pages on it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from browser import installed
from playwright.async_api import Browser, BrowserContext, Page, async_playwright, expect

import swarmstate as ss

PATIENCE_MS = 30_000
expect.set_options(timeout=PATIENCE_MS)


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """A browser of the test's own."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(**installed())
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def person(browser: Browser) -> AsyncIterator[BrowserContext]:
    """A browser profile of one person: cookies of their own."""
    context = await browser.new_context()
    context.set_default_timeout(PATIENCE_MS)
    try:
        yield context
    finally:
        await context.close()


def api(server: ss.Server, agent: str = "maker") -> httpx.Client:
    """A client of the API with the operator's key."""
    headers = {"Authorization": f"Bearer {server.api_key}", "X-Agent-ID": agent}
    return httpx.Client(base_url=server.url, headers=headers, timeout=60, trust_env=False)


def make(server: ss.Server, html: str, mode: str = "authed", **more: str) -> str:
    """Makes a page and returns its id."""
    with api(server) as client:
        made = client.post("/api/pages", json={"html": html, "authMode": mode, **more})
    assert made.status_code == 201, made.text
    return made.json()["id"]


def launch(server: ss.Server, page: str) -> str:
    """The URL that lets one browser in."""
    with api(server) as client:
        return client.post(f"/api/pages/{page}/launch").json()["url"]


async def opened(context: BrowserContext, server: ss.Server, page: str) -> Page:
    """A tab on a page, let in by a link; what its scripts throw fails the test."""
    tab = await context.new_page()
    await tab.goto(launch(server, page))
    return tab


async def refusal(tab: Page, expression: str) -> int:
    """The status of the error that an expression in a page throws."""
    return await tab.evaluate(
        f"async () => {{ try {{ await {expression}; return 0 }} catch (e) {{ return e.status }} }}"
    )


async def until(tab: Page, condition: str) -> None:
    """Waits in a page until a condition holds there, which is sent as a whole: the page's policy runs no text."""
    again = "await new Promise((next) => setTimeout(next, 20))"
    await tab.evaluate(f"async () => {{ while (!({condition})) {again} }}")
