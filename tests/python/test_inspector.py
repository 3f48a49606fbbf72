"""The inspector in a real browser, and `swarmstate inspect`, which starts it."""

import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import browser
import httpx
import pytest
from langgraph.checkpoint.base import empty_checkpoint
from playwright.sync_api import Browser, Page, expect

import swarmstate as ss
from swarmstate.integrations.langgraph import SwarmStateSaver

PATIENCE_SECONDS = 60
expect.set_options(timeout=PATIENCE_SECONDS * 1000)
MARKUP = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser.chromium() as opened:
        yield opened


class Inspector:
    """A page of the inspector, and what went wrong in it."""

    def __init__(self, page: Page, server: ss.Server) -> None:
        self.page, self.server = page, server
        self.errors: list[str] = []
        page.set_default_timeout(PATIENCE_SECONDS * 1000)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda said: self.errors.append(said.text) if said.type == "error" else None)
        page.goto(f"{server.url}/#key={server.api_key}")
        page.wait_for_selector(".bar")

    def go(self, view: str, *parts: str) -> None:
        path = "/".join([view, *(quote(part, safe="") for part in parts)])
        self.page.evaluate("hash => { location.hash = hash }", f"#/{path}")

    def sees(self, text: str | re.Pattern[str], selector: str = "body") -> None:
        expect(self.page.locator(selector).first).to_contain_text(text)

    def keys(self) -> list[str]:
        return self.page.locator("[aria-label=Keys] .key").all_inner_texts()


@pytest.fixture
def inspect(chromium) -> Iterator[Callable[..., Inspector]]:
    """Opens the inspector of a store, in a browser context of its own."""
    ends: list[Callable[[], Any]] = []

    def opened(store: ss.Store, **options: Any) -> Inspector:
        server = ss.serve(store, **options)
        context = chromium.new_context(viewport={"width": 1200, "height": 800})
        ends.extend([context.close, server.stop])
        return Inspector(context.new_page(), server)

    yield opened
    for end in ends:
        end()


def test_the_key_is_asked_for_kept_in_memory_and_leaves_the_address(inspect):
    inspector = inspect(ss.Store())
    page = inspector.page

    assert "key" not in page.url
    kept = "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])"
    assert page.evaluate(kept) == '[{},{},""]'
    page.reload()
    page.get_by_label("Key").fill("ssk_" + "0" * 64)
    page.get_by_text("Look inside").click()
    inspector.sees("unknown, revoked or expired", ".sign-in")
    page.get_by_label("Key").fill(inspector.server.api_key)
    page.keyboard.press("Enter")
    inspector.sees("The store is empty.")


def test_a_value_is_shown_with_all_that_is_known_of_it_and_numbers_keep_their_digits(inspect):
    store = ss.Store()
    store.set("notes", "plan", {"big": 2**60, "2": "b", "1": "a", "none": None, "text": "a\nb"}, ttl=3600)
    inspector = inspect(store)

    inspector.go("keys", "notes", "plan")

    inspector.sees("1152921504606846976", ".tree")
    assert inspector.page.locator(".tree .name").all_inner_texts() == ["big", "2", "1", "none", "text"]
    inspector.sees(re.compile(r"json.*Revision.*Size.*Expires\s*in (59 m|1 h)", re.DOTALL), ".detail")
    assert not inspector.errors


def test_names_and_values_full_of_markup_stay_text(inspect):
    store = ss.Store()
    store.set(MARKUP, MARKUP, {MARKUP: [MARKUP], "__proto__": "kept"})
    base = store.snapshot()
    store.set(MARKUP, MARKUP, {MARKUP: [MARKUP, MARKUP]})
    saver = SwarmStateSaver(store)
    config = {"configurable": {"thread_id": MARKUP, "checkpoint_ns": ""}}
    checkpoint = {**empty_checkpoint(), "channel_values": {MARKUP: MARKUP}, "channel_versions": {MARKUP: 1}}
    saver.put(config, checkpoint, {"source": MARKUP, "step": 1, MARKUP: MARKUP}, {MARKUP: 1})
    inspector = inspect(store)
    page = inspector.page

    inspector.go("keys", MARKUP, MARKUP)
    inspector.sees(MARKUP, ".tree")
    inspector.go("snapshots", str(base.id))
    page.locator(".change summary").click()
    inspector.sees("__proto__", ".difference")
    page.get_by_text("Restore…").click()
    inspector.sees(MARKUP, "dialog")
    page.keyboard.press("Escape")
    inspector.go("threads", MARKUP)
    page.locator(".timeline .row").click()
    inspector.sees(MARKUP, ".difference")
    for part in ["state", "writes", "metadata"]:
        page.locator(f"[data-part={part}]").click()

    assert page.title() == "swarmstate inspector"
    assert page.locator("img, body script, iframe").count() == 0
    assert not inspector.errors


def test_the_policy_lets_no_text_become_html_and_no_other_script_run(inspect):
    inspector = inspect(ss.Store())

    refused = "html => { try { document.body.innerHTML = html; return 'done' } catch (error) { return error.name } }"
    assert inspector.page.evaluate(refused, MARKUP) == "TypeError"
    framed = """() => new Promise((resolve) => {
        addEventListener("securitypolicyviolation", (event) => resolve(event.effectiveDirective));
        document.body.append(Object.assign(document.createElement("iframe"), { src: "data:text/html,x" }));
    })"""
    assert inspector.page.evaluate(framed) == "frame-src"


def test_a_list_pages_and_a_prefix_finds_among_a_hundred_thousand_keys(inspect):
    store = ss.Store()
    store.set_many([("many", f"key/{at:06}", at) for at in range(100_000)])
    inspector = inspect(store)
    page = inspector.page

    inspector.go("keys", "many")
    inspector.sees("100,000 keys")
    page.get_by_label("Keys", exact=True).focus()
    for _ in range(20):
        page.keyboard.press("PageDown")
    inspector.sees("key/000300", "[aria-label=Keys]")
    page.get_by_placeholder("Keys by prefix").fill("key/09998")
    inspector.sees("10 keys")

    assert inspector.keys() == [f"key/{at:06}" for at in range(99_980, 99_990)]
    assert not inspector.errors


def test_the_keyboard_searches_moves_opens_and_goes_back(inspect):
    store = ss.Store()
    for key in ["alpha", "beta", "gamma"]:
        store.set("letters", key, {"is": key})
    inspector = inspect(store)
    press = inspector.page.keyboard.press

    inspector.go("keys", "letters")
    inspector.sees("3 keys")
    press("/")
    inspector.page.keyboard.type("b")
    inspector.sees("1 key")
    press("ArrowDown")
    press("ArrowDown")
    inspector.sees("isbeta", ".tree")
    press("Escape")
    inspector.sees("Choose a key.")
    press("2")
    inspector.sees("No snapshot was taken yet.")
    press("?")
    inspector.sees("search by the beginning of names", "dialog")


def test_changes_show_as_they_happen_whoever_writes(inspect):
    store = ss.Store()
    store.set("board", "votes", 1)
    inspector = inspect(store)
    inspector.go("keys", "board", "votes")
    inspector.sees("1", ".tree")
    inspector.sees("live", ".pulse")

    store.increment("board", "votes", 41)
    inspector.sees("42", ".tree")
    headers = {"Authorization": f"Bearer {inspector.server.api_key}"}
    httpx.put(f"{inspector.server.url}/api/kv/_/board/other", json={"value": "new"}, headers=headers, trust_env=False)
    inspector.sees("other", "[aria-label=Keys]")
    store.delete("board", "votes")
    inspector.sees("This key is gone", ".detail")


def test_a_snapshot_is_taken_compared_by_value_and_restored_after_a_question(inspect):
    store = ss.Store()
    store.set("n", "kept", 1)
    store.set("n", "list", [{"id": 1}, {"id": 2}])
    inspector = inspect(store)
    page = inspector.page
    page.keyboard.press("2")
    page.get_by_text("Take snapshot").click()
    inspector.sees("No key differs.")

    store.set("n", "list", [{"id": 0}, {"id": 1}, {"id": 2}])
    store.set("n", "extra", 1)
    page.get_by_label("Compare with").dispatch_event("change")
    inspector.sees("2 keys differ.")
    page.locator(".change.changed summary").click()
    inspector.sees("2 unchanged", ".difference")
    assert page.locator(".difference .side").count() == 1
    page.get_by_text("Restore…").click()
    inspector.sees("extra is removed", "dialog")
    inspector.sees("list gets its former value", "dialog")
    page.get_by_role("button", name="Cancel").click()
    assert ("n", "extra") in store
    page.get_by_text("Restore…").click()
    page.get_by_role("button", name="Restore", exact=True).click()
    inspector.sees("No key differs.")

    assert (("n", "extra") in store, store.get("n", "list")) == (False, [{"id": 1}, {"id": 2}])
    assert not inspector.errors


def test_a_thread_is_a_timeline_with_the_state_and_the_change_at_each_checkpoint(inspect):
    store = ss.Store()
    saver = SwarmStateSaver(store)
    config = {"configurable": {"thread_id": "t/1", "checkpoint_ns": ""}}
    for step, messages in enumerate([["hello"], ["hello", "how are you?"]]):
        checkpoint = {
            **empty_checkpoint(),
            "channel_values": {"messages": messages},
            "channel_versions": {"messages": step + 1},
        }
        config = saver.put(config, checkpoint, {"source": "loop", "step": step}, {"messages": step + 1})
    inspector = inspect(store)
    page = inspector.page

    page.keyboard.press("3")
    page.get_by_text("t/1").click()
    rows = page.locator(".timeline .row")
    expect(rows).to_have_count(2)
    rows.first.click()

    inspector.sees(re.compile(r"messages.*1 unchanged.*how are you", re.DOTALL), ".detail")
    page.locator("[data-part=state]").click()
    inspector.sees("hello", ".detail .tree")
    assert not inspector.errors


def test_a_token_is_shown_once_works_and_is_revoked(inspect):
    inspector = inspect(ss.Store())
    page = inspector.page
    page.keyboard.press("4")
    inspector.sees("There is no token yet.")
    page.get_by_label("The token's agent").fill("writer")
    page.get_by_text("Make token").click()
    token = page.locator(".secret").inner_text()
    page.get_by_role("button", name="Close").click()

    with httpx.Client(
        base_url=inspector.server.url, headers={"Authorization": f"Bearer {token}"}, trust_env=False
    ) as client:
        assert client.get("/api/kv").status_code == 200
        inspector.sees(token.rsplit("_", 1)[0], "table")
        assert token not in page.content()
        page.get_by_text("Revoke…").click()
        page.get_by_role("button", name="Revoke", exact=True).click()
        inspector.sees("There is no token yet.")
        assert client.get("/api/kv").status_code == 401


def test_a_server_that_is_gone_is_told_and_asked_again(inspect):
    store = ss.Store()
    store.set("n", "k", 1)
    inspector = inspect(store)
    inspector.sees("n", "[aria-label=Namespaces]")
    inspector.server.stop()

    inspector.go("threads")

    inspector.sees("The server does not answer.")
    inspector.sees("Try again")


def test_narrow_screens_show_one_pane_at_a_time(inspect):
    store = ss.Store()
    store.set("n", "k", "value")
    inspector = inspect(store)
    page = inspector.page
    page.set_viewport_size({"width": 380, "height": 700})

    page.get_by_label("Namespaces", exact=True).get_by_text("n", exact=True).click()
    page.get_by_label("Keys", exact=True).get_by_text("k", exact=True).click()
    inspector.sees("value", ".tree")
    expect(page.get_by_label("Keys", exact=True)).not_to_be_visible()
    page.locator(".detail .back").click()
    expect(page.get_by_label("Keys", exact=True)).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.fixture
def started() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts `swarmstate inspect`; what still runs in the end is killed."""
    processes: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "swarmstate", "inspect", *arguments]
        processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def greeting(process: subprocess.Popen[str]) -> tuple[str, str]:
    """The first line, and the URL that stands in the second."""
    assert process.stdout is not None
    return process.stdout.readline(), process.stdout.readline().strip()


def test_inspect_shows_a_file_in_one_click_and_nothing_can_be_written(started, chromium, tmp_path: Path):
    path = tmp_path / "state.db"
    with ss.SqliteStore(path) as store:
        store.set("n", "k", "seen")
        taken = store.snapshot().id
    process = started(str(path), "--no-browser")
    said, url = greeting(process)
    origin, key = url.split("/#key=")

    with chromium.new_context() as context:
        page = context.new_page()
        page.goto(url)
        page.get_by_label("Namespaces", exact=True).get_by_text("n", exact=True).click()
        expect(page.locator("[aria-label=Keys]")).to_contain_text("seen")
        expect(page.locator(".bar")).to_contain_text("read-only")
        page.keyboard.press("2")
        expect(page.locator("[aria-label=Snapshots]")).to_contain_text(f"Snapshot {taken}")
        assert page.get_by_text("Take snapshot").count() == 0
        assert page.locator("nav").inner_text().split() == ["Keys", "Snapshots", "Threads"]
    with httpx.Client(base_url=origin, headers={"Authorization": f"Bearer {key}"}, trust_env=False) as client:
        refused = client.put("/api/kv/_/n/k", json={"value": 1})
        tool = {"name": "kv-set", "arguments": {"key": "k", "value": 1, "namespace": "n"}}
        call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": tool}
        accept = {"Accept": "application/json, text/event-stream"}
        called = client.post("/mcp", json=call, headers=accept)
    process.send_signal(signal.SIGINT)

    assert (refused.status_code, refused.json()["code"]) == (501, "unsupported")
    assert called.json()["result"]["isError"] is True
    assert process.wait(PATIENCE_SECONDS) == 0
    assert str(path) in said
    assert sorted(tmp_path.iterdir()) == [path]
    with ss.SqliteStore(path) as store:
        assert (store.get("n", "k"), [snapshot.id for snapshot in store.history()]) == ("seen", [taken])


def test_inspect_makes_no_store_where_none_is(started, tmp_path: Path):
    process = started(str(tmp_path / "none.db"), "--no-browser")

    assert process.wait(PATIENCE_SECONDS) in (1, 2, 3)
    assert process.stderr is not None
    assert "none.db" in process.stderr.read()
    assert list(tmp_path.iterdir()) == []
