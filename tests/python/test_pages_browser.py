"""Pages in a real browser: what they remember, who gets in, and what one of them can do to another or to the API."""

import asyncio
from collections.abc import Iterator

import httpx
import pytest
import servers
from browser_given import chromium, launch, make, opened, person, refusal, until
from playwright.async_api import Error, expect

import swarmstate as ss

COUNTER = """<!doctype html><title>Clicks</title><button id=more>more</button> <output id=count></output>
<script>
const show = (entry) => { document.getElementById('count').textContent = entry?.value ?? 0; };
document.getElementById('more').onclick = async () => show(await swarmSdk.kv.incr('clicks'));
swarmSdk.kv.get('clicks').then(show);
</script>"""

VOTES = """<!doctype html><html><head><title>Votes</title></head><body>
<button data-for=tea>tea</button><button data-for=coffee>coffee</button><pre id=tally></pre>
<script>
const show = async () => {
  const { entries } = await swarmSdk.kv.list({ prefix: 'vote:' });
  tally.textContent = entries.map((entry) => `${entry.key.slice(5)} ${entry.value}`).join(', ');
};
for (const button of document.querySelectorAll('button')) {
  button.onclick = async () => { await swarmSdk.kv.incr(`vote:${button.dataset.for}`); show(); };
}
show();
</script></body></html>"""

FORM = """<form><input name=name><input name=mail><button>save</button></form><p id=saved></p>
<script>
const form = document.querySelector('form');
form.onsubmit = async (event) => {
  event.preventDefault();
  await swarmSdk.kv.set('form/step-1', Object.fromEntries(new FormData(form)));
  saved.textContent = 'saved';
};
swarmSdk.kv.get('form/step-1').then((entry) => {
  for (const [name, value] of Object.entries(entry?.value ?? {})) form.elements[name].value = value;
  saved.textContent = 'ready';
});
</script>"""

EMPTY = "<!doctype html><title>Empty</title><p>"


@pytest.fixture
def server() -> Iterator[ss.Server]:
    with ss.serve(ss.Store()) as server:
        yield server


async def test_a_counter_a_tally_and_a_form_remember_across_reloads(server):
    counter, votes, form = (make(server, html) for html in (COUNTER, VOTES, FORM))
    async with chromium() as browser, person(browser) as somebody:
        counting = await opened(somebody, server, counter)
        for expected in ("1", "2", "3"):
            await counting.click("#more")
            await expect(counting.locator("#count")).to_have_text(expected)
        voting = await opened(somebody, server, votes)
        for vote in ("tea", "coffee", "tea"):
            await voting.click(f"[data-for={vote}]")
        await expect(voting.locator("#tally")).to_have_text("coffee 1, tea 2")
        filling = await opened(somebody, server, form)
        await expect(filling.locator("#saved")).to_have_text("ready")
        await filling.fill("[name=name]", "Ada")
        await filling.fill("[name=mail]", "ada@example.org")
        await filling.click("button")
        await expect(filling.locator("#saved")).to_have_text("saved")

        for tab in (counting, voting, filling):
            await tab.reload()

        await expect(counting.locator("#count")).to_have_text("3")
        await expect(voting.locator("#tally")).to_have_text("coffee 1, tea 2")
        await expect(filling.locator("[name=name]")).to_have_value("Ada")
        await expect(filling.locator("[name=mail]")).to_have_value("ada@example.org")
        assert "code" not in counting.url


async def test_every_recipe_of_the_sdk_does_what_it_says(server):
    page = make(server, EMPTY)
    async with chromium() as browser, person(browser) as somebody:
        tab = await opened(somebody, server, page)

        count = await tab.evaluate("async () => await swarmSdk.kv.incr('clicks')")
        seen = await tab.evaluate(
            "async () => { const now = Date.now(); return [now, await swarmSdk.kv.set('lastSeen', now)] }"
        )
        entry = await tab.evaluate("async () => await swarmSdk.kv.get('clicks')")
        listed = await tab.evaluate("async () => await swarmSdk.kv.list({ prefix: 'click', limit: 50 })")
        await tab.evaluate("async () => await swarmSdk.kv.del('clicks')")
        gone = await tab.evaluate("async () => await swarmSdk.kv.get('clicks')")

        assert (count["value"], count["valueType"], count["namespace"]) == (1, "integer", f"task:page:{page}")
        assert (seen[1]["value"], seen[1]["valueType"]) == (seen[0], "json")
        assert entry == count
        assert (listed["entries"], listed["total"], listed["nextCursor"]) == ([count], 1, None)
        assert gone is None
        assert await tab.evaluate("async () => (await swarmSdk.kv.incr('clicks', 5)).value") == 5


async def test_the_sdk_takes_conditions_types_and_any_key_and_tells_failures(server):
    page = make(server, EMPTY)
    async with chromium() as browser, person(browser) as somebody:
        tab = await opened(somebody, server, page)
        keys = ["a/b", "_", "_/x/y", "incr", "a/incr", "api/kv", "k:v.w-x"]
        write = "async (keys) => { for (const key of keys) await swarmSdk.kv.set(key, key) }"
        await tab.evaluate(write, keys)
        entries = await tab.evaluate("async () => (await swarmSdk.kv.list()).entries")
        assert sorted(entry["key"] for entry in entries) == sorted(keys)
        for key in keys:
            assert (await tab.evaluate("async (key) => (await swarmSdk.kv.get(key)).value", key)) == key

        first = await tab.evaluate(
            "async () => await swarmSdk.kv.set('s', '007', {valueType: 'string', expiresInSec: 60, ifRevision: 0})"
        )
        assert (first["value"], first["valueType"]) == ("007", "string")
        assert first["expiresAt"] == first["updatedAt"] + 60_000
        assert await refusal(tab, "swarmSdk.kv.set('s', 'x', {ifRevision: 0})") == 412
        again = f"async () => (await swarmSdk.kv.set('s', 'x', {{ifRevision: {first['revision']}}})).value"
        assert await tab.evaluate(again) == "x"
        assert await refusal(tab, "swarmSdk.kv.incr('s')") == 409
        assert await refusal(tab, "swarmSdk.kv.del('none')") == 404
        assert await refusal(tab, "swarmSdk.kv.get('b d')") == 400
        assert await refusal(tab, "swarmSdk.kv.get('..')") == 404
        caught = "catch (e) { return [e instanceof Error, e.response.code, e.message] }"
        code = f"async () => {{ try {{ await swarmSdk.kv.incr('s') }} {caught} }}"
        is_error, name, message = await tab.evaluate(code)
        assert (is_error, name) == (True, "wrong_type")
        assert "s" in message


async def test_a_page_with_a_password_opens_for_who_knows_it(server):
    page = make(server, COUNTER, "password", title="For <friends>", password="open sesame")
    async with chromium() as browser, person(browser) as somebody:
        tab = await somebody.new_page()
        await tab.goto(f"{server.pages_url}/p/{page}")
        await expect(tab.locator("h1")).to_have_text("For <friends>")

        await tab.fill("[name=password]", "close sesame")
        await tab.click("button")
        await expect(tab.locator("[role=alert]")).to_have_text("That is not the password.")
        await tab.fill("[name=password]", "open sesame")
        await tab.click("button")
        await tab.click("#more")

        await expect(tab.locator("#count")).to_have_text("1")
        await tab.reload()
        await expect(tab.locator("#count")).to_have_text("1")


async def test_a_public_page_is_shown_and_refused_its_keys(server):
    public, authed = make(server, COUNTER, "public"), make(server, COUNTER)
    async with chromium() as browser, person(browser) as somebody:
        tab = await somebody.new_page()
        await tab.goto(f"{server.pages_url}/p/{public}")
        assert await tab.title() == "Clicks"
        assert await refusal(tab, "swarmSdk.kv.incr('clicks')") == 401
        await opened(somebody, server, authed)

        # A cookie of another page changes nothing.
        assert await refusal(tab, "swarmSdk.kv.incr('clicks')") == 401
        assert await refusal(tab, "swarmSdk.kv.get('clicks')") == 401


async def test_two_pages_side_by_side_never_write_into_each_other(server):
    store_of = [make(server, COUNTER), make(server, COUNTER)]
    async with chromium() as browser, person(browser) as somebody:
        tabs = [await opened(somebody, server, page) for page in store_of]

        for times, tab in zip((2, 3), tabs, strict=True):
            for _ in range(times):
                await tab.evaluate("async () => await swarmSdk.kv.incr('clicks')")

        for expected, tab in zip(("2", "3"), tabs, strict=True):
            await tab.reload()
            await expect(tab.locator("#count")).to_have_text(expected)


async def test_a_link_opens_a_page_once_and_who_has_none_is_refused(server):
    page = make(server, COUNTER)
    url = launch(server, page)
    async with chromium() as browser, person(browser) as first, person(browser) as second:
        mine, theirs = await first.new_page(), await second.new_page()
        entered = await mine.goto(url)
        used = await theirs.goto(url)
        bare = await theirs.goto(f"{server.pages_url}/p/{page}")

        assert (entered.status, used.status, bare.status) == (200, 403, 401)
        assert await theirs.locator("#count").count() == 0


# What a page tries in the browser of somebody who has a session of another page too. Each returns what it got.
ATTACKS = {
    "to name the other page": "fetch('/@swarm/api/kv', {headers: {'X-Swarm-Page': other}}).then((r) => r.text())",
    "to name it by its namespace": "fetch('/@swarm/api/kv/_/task:page:' + other, {headers: own}).then((r) => r.text())",
    "to name nobody": "fetch('/@swarm/api/kv/_/task:page:' + other + '/k').then((r) => r.text())",
    "to read its text": "fetch('/p/' + other).then((r) => r.text())",
    "to read its text by XMLHttpRequest": "xhr('/p/' + other)",
    "to read its cookies": "Promise.resolve(document.cookie)",
    "to run its text as a script": "script('/p/' + other)",
    "to frame it": "frame('/p/' + other)",
    "to open and read it": "popup('/p/' + other)",
    "to open it after a blank page": "later('/p/' + other)",
    "to run a worker": "worker()",
    "to serve its pages itself": "navigator.serviceWorker.register('/@swarm/sdk.js').then(() => 'secret')",
    "to reach the API": "fetch(api + '/api/kv/_/task:page:' + other + '/k', {headers: own}).then((r) => r.text())",
    "to reach the API without waiting": "fetch(api + '/healthz', {mode: 'no-cors'}).then((r) => 'secret ' + r.type)",
    "to tell another site": "fetch('http://127.0.0.1:9/?secret').then(() => 'secret')",
    "to send a form": "form(api)",
}

TRIES = """
const own = { 'X-Swarm-Page': location.pathname.slice(3) };
const xhr = (url) => new Promise((done, fail) => {
  const ask = Object.assign(new XMLHttpRequest(), { onload: () => done(ask.responseText), onerror: fail });
  ask.open('GET', url); ask.send();
});
const added = (name, set) => new Promise((done) => {
  const made = Object.assign(document.createElement(name), set);
  made.onload = () => done(made); made.onerror = () => done(made);
  setTimeout(() => done(made), 3000);
  document.body.append(made);
});
const script = async (src) => { await added('script', { src }); return document.title; };
const frame = async (src) => (await added('iframe', { src })).contentDocument.documentElement.outerHTML;
const seen = async (opened) => {
  for (let tries = 0; tries < 40; tries++) {
    await new Promise((next) => setTimeout(next, 50));
    if (opened.document?.querySelector('#secret')) return opened.document.body.innerHTML;
    if (opened.swarmSdk) return JSON.stringify(await opened.swarmSdk.kv.get('k'));
  }
  return 'nothing';
};
const popup = (url) => seen(window.open(url));
const later = async (url) => {
  const opened = window.open('about:blank');
  opened.opener = null;
  opened.location = new URL(url, location).href;
  return seen(opened);
};
const worker = () => {
  new Worker(URL.createObjectURL(new Blob(["postMessage('secret')"])));
  return new Promise((done) => document.addEventListener('securitypolicyviolation', () => done('blocked')));
};
const form = (action) => {
  const made = Object.assign(document.createElement('form'), { action, method: 'post' });
  document.body.append(made);
  const blocked = new Promise((done) => document.addEventListener('securitypolicyviolation', () => done('blocked')));
  made.submit();
  return blocked;
};
"""


@pytest.mark.parametrize("attack", ATTACKS)
async def test_a_page_gets_nothing_of_another_page_or_of_the_api_where_it_tries(server, attack):
    victim = make(server, "<!doctype html><title>secret</title><p id=secret>secret</p>")
    attacker = make(server, "<!doctype html><title>harmless</title><body>")
    async with chromium() as browser, person(browser) as somebody:
        theirs = await opened(somebody, server, victim)
        await theirs.evaluate("async () => await swarmSdk.kv.set('k', 'secret')")
        tab = await opened(somebody, server, attacker)

        tried = f"async ([other, api]) => {{ {TRIES}\n return await {ATTACKS[attack]} }}"
        try:
            got = await tab.evaluate(tried, [victim, server.url])
        except Error as error:
            # Refused by the browser itself.
            got = str(error.message).split("\n")[0]

        assert "secret" not in str(got), got
        # A window that the browser kept shut would have proved nothing.
        assert len(somebody.pages) == (3 if "to open" in attack else 2)
        assert (await theirs.evaluate("async () => await swarmSdk.kv.get('k')"))["value"] == "secret"


async def test_another_site_neither_reads_nor_writes_with_a_persons_cookies(server):
    page = make(server, EMPTY)
    async with chromium() as browser, person(browser) as somebody:
        tab = await opened(somebody, server, page)
        await tab.evaluate("async () => await swarmSdk.kv.set('k', 1)")
        # The same machine under its other name is another site.
        foreign = await somebody.new_page()
        await foreign.goto(f"{server.url.replace('127.0.0.1', 'localhost')}/healthz")

        cross = "{credentials: 'include'}"
        blind = "{method: 'POST', mode: 'no-cors', credentials: 'include', body: '{}'}"
        for options in (cross, blind):
            asked = f"fetch('{server.pages_url}/@swarm/api/kv/k/incr', {options}).then((r) => r.text())"
            assert await foreign.evaluate(f"async () => await {asked}.catch(() => '')") == ""

        assert (await tab.evaluate("async () => await swarmSdk.kv.get('k')"))["value"] == 1


async def test_two_browsers_see_each_others_changes_as_they_happen(server):
    page = make(server, EMPTY)
    watching = """async () => {
        window.seen = [];
        window.stop = swarmSdk.kv.watch('vote:', (event) => seen.push(event));
    }"""
    async with chromium() as browser, person(browser) as first, person(browser) as second:
        tabs = [await opened(somebody, server, page) for somebody in (first, second)]
        for tab in tabs:
            await tab.evaluate(watching)
            await until(tab, "seen.length === 1")
        await tabs[0].evaluate("async () => { await swarmSdk.kv.incr('vote:tea'); await swarmSdk.kv.incr('other') }")
        await tabs[1].evaluate("async () => await swarmSdk.kv.del('vote:tea')")

        for tab in tabs:
            await until(tab, "seen.length === 3")
            reset, made, removed = await tab.evaluate("seen")
            assert reset == {"type": "reset"}
            assert (made["type"], made["entry"]["key"], made["entry"]["value"]) == ("set", "vote:tea", 1)
            assert (removed["type"], removed["key"]) == ("delete", "vote:tea")
        await tabs[0].evaluate("stop()")
        await tabs[1].evaluate("async () => await swarmSdk.kv.incr('vote:tea')")
        await until(tabs[1], "seen.length === 4")
        assert await tabs[0].evaluate("seen.length") == 3


class Line:
    """A line between browsers and a server, which can be cut."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.ends: list[asyncio.StreamWriter] = []

    async def join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.ends += [writer, far_writer]
        await asyncio.gather(self.carry(reader, far_writer), self.carry(far_reader, writer), return_exceptions=True)

    async def carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65536):
                sink.write(data)
                await sink.drain()
        finally:
            sink.close()

    def cut(self) -> None:
        for end in self.ends:
            end.transport.abort()
        self.ends.clear()


async def test_a_watch_comes_back_after_the_connection_is_lost_and_misses_nothing():
    line = Line(servers.free_port())
    door = await asyncio.start_server(line.join, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{door.sockets[0].getsockname()[1]}"
    with ss.serve(ss.Store(), pages_port=line.port, pages_url=url) as server:
        page = make(server, EMPTY)
        async with chromium() as browser, person(browser) as somebody:
            tab = await opened(somebody, server, page)
            await tab.evaluate("async () => { window.seen = []; swarmSdk.kv.watch('', (event) => seen.push(event)) }")
            await until(tab, "seen.length === 1")
            await tab.evaluate("async () => await swarmSdk.kv.incr('n')")
            await until(tab, "seen.length === 2")

            line.cut()
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{line.port}", trust_env=False) as directly:
                (cookie,) = await somebody.cookies(url)
                headers = {"Cookie": f"{cookie['name']}={cookie['value']}", "Origin": url}
                for _ in range(2):
                    (await directly.post("/@swarm/api/kv/n/incr", headers=headers)).raise_for_status()

            await until(tab, "seen.at(-1).entry?.value === 3")
            values = await tab.evaluate("seen.map((event) => event.entry?.value ?? event.type)")
            assert values == ["reset", 1, 2, 3]
    door.close()


async def test_a_watch_ends_with_its_page(server):
    page = make(server, EMPTY)
    async with chromium() as browser, person(browser) as somebody:
        tab = await opened(somebody, server, page)
        await tab.evaluate("async () => { window.seen = []; swarmSdk.kv.watch('', (event) => seen.push(event)) }")
        await until(tab, "seen.length === 1")

        headers = {"Authorization": f"Bearer {server.api_key}"}
        httpx.delete(f"{server.url}/api/pages/{page}", headers=headers, trust_env=False).raise_for_status()

        await until(tab, "seen.at(-1).type === 'error'")
        assert await tab.evaluate("seen.at(-1).error.status") == 401
