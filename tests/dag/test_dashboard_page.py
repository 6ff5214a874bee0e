"""The dashboard in a real browser."""

from __future__ import annotations

import re
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Route, expect, sync_playwright

from dagstack_plugins.dag import ApprovalGate
from tests.dag.conftest import Dashboard

expect.set_options(timeout=20_000)  # two suites at once share two slow processors
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        one = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield one
        one.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    one = browser.new_context(viewport={"width": 1400, "height": 900}, color_scheme="light")
    one.set_default_timeout(10_000)
    yield one
    one.close()


@pytest.fixture
def trouble() -> Iterator[list[str]]:
    """What a page complained of, which must be nothing."""
    complaints: list[str] = []
    yield complaints
    assert not complaints


def is_complaint(said: ConsoleMessage) -> bool:
    """What the network says of connections that a test cut, and of answers that it wants, is no fault of the page."""
    return said.type == "error" and "net::" not in said.text and "Failed to load resource" not in said.text


@pytest.fixture
def open_page(context: BrowserContext, trouble: list[str]) -> Callable[[str], Page]:
    def go(url: str) -> Page:
        page = context.new_page()
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.on("console", lambda said: trouble.append(said.text) if is_complaint(said) else None)
        page.on("dialog", lambda dialog: trouble.append(f"a dialog: {dialog.message}"))
        page.goto(url)
        expect(page.locator("#connection")).to_have_text("live")
        expect(page.locator("#graph[data-ready]")).to_have_count(1)  # all of it was loaded
        return page

    return go


@pytest.fixture
def page(dashboard: Dashboard, open_page: Callable[[str], Page]) -> Page:
    return open_page(str(dashboard.plugin.url))


def node(page: Page, name: str) -> Any:
    return page.locator(f'.node[role="button"][aria-label^="{name}:"]')


def fails() -> None:
    raise ValueError("no such column")


EDGES = [("extract", "clean"), ("clean", "report")]


def test_a_run_from_start_to_finish(dashboard: Dashboard, page: Page) -> None:
    assert "token" not in page.url
    expect(page.get_by_text("A run shows here as soon as it begins.")).to_be_visible()
    first, second = threading.Event(), threading.Event()
    tasks = {"extract": lambda: first.wait(20), "clean": lambda: second.wait(20), "report": lambda: 1}
    with dashboard.running(EDGES, tasks):
        expect(page.locator("#status")).to_have_text("running")
        expect(node(page, "extract")).to_have_attribute("data-status", "running")
        expect(node(page, "clean")).to_have_attribute("data-status", "pending")
        expect(page.locator("#counts")).to_contain_text("1 running")
        expect(page).to_have_title(re.compile("▶ 0/3"))
        first.set()
        expect(node(page, "extract")).to_have_attribute("data-status", "succeeded")
        expect(node(page, "clean")).to_have_attribute("data-status", "running")
        expect(page).to_have_title(re.compile("▶ 1/3"))
        second.set()
        expect(page.locator("#status")).to_have_text("succeeded")
    expect(page.locator("#about")).to_contain_text("succeeded in")
    expect(page.locator("#about")).to_contain_text("Slowest")
    expect(page.locator("#log li")).to_have_count(8)
    expect(page.locator("#log li").last).to_contain_text("run succeeded in")
    expect(page.locator(".row")).to_have_count(3)
    expect(page.locator(".row").first).to_contain_text("extract")
    expect(page.locator("#bar")).to_have_attribute("aria-label", "3 of 3 nodes ended")


def test_a_failure(dashboard: Dashboard, page: Page) -> None:
    dashboard.run(EDGES, {"extract": lambda: 1, "clean": fails, "report": lambda: 1})
    expect(page.locator("#status")).to_have_text("failed")
    expect(node(page, "clean")).to_have_attribute("data-status", "failed")
    expect(node(page, "report")).to_have_attribute("data-status", "skipped")
    expect(page.locator("#about")).to_contain_text("ValueError: no such column")
    expect(page.locator("#log")).to_contain_text("clean ValueError: no such column")
    node(page, "clean").click()
    about = page.locator("#about")
    expect(about).to_contain_text("Waits forextract")
    about.get_by_text("Traceback", exact=True).click()
    expect(about.locator("pre")).to_contain_text("in fails")
    about.get_by_role("button", name="report").click()
    expect(about).to_contain_text("skipped")
    page.keyboard.press("Escape")
    expect(page.locator("#about-title")).to_have_text("Summary")


HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "\"quoted\" & 'so'",
    "</script><script>alert(2)</script>",
    "a\u202eb",
    "__proto__",
]


def test_names_and_messages_are_never_run(dashboard: Dashboard, page: Page) -> None:
    def shout() -> None:
        raise ValueError("<script>alert(3)</script><b>bold</b>")

    edges = [(HOSTILE[0], name) for name in HOSTILE[1:]]
    dashboard.run(edges, {HOSTILE[0]: lambda: 1, **dict.fromkeys(HOSTILE[1:], shout)})
    for name in HOSTILE:
        expect(page.locator(".row").filter(has_text=name)).to_have_count(1)
    expect(page.locator("#log")).to_contain_text("<script>alert(3)</script><b>bold</b>")
    assert page.locator("main img, main script, main b").count() == 0
    page.locator(".row button", has_text="quoted").click()
    expect(page.locator("#about .big")).to_have_text(HOSTILE[1])


def test_a_gate_that_is_approved_by_clicking(dashboard: Dashboard, page: Page) -> None:
    with dashboard.running([("review", "report")], {"review": lambda: 1, "report": lambda: 1}):
        card = page.locator("#waiting-gates li:not(.done)")
        expect(card).to_contain_text(re.compile(r"review\s*9 min \d+ s left"))
        expect(node(page, "review")).to_have_attribute("data-status", "waiting")
        expect(page).to_have_title(re.compile("⏸ 0/2"))
        card.get_by_label("Reason for deciding on review").fill("looks good")
        card.get_by_role("button", name="Approve review").click()
        expect(card).to_have_count(0)
    expect(page.locator("#status")).to_have_text("succeeded")
    expect(page.locator("#other-gates")).to_contain_text("review · approved: looks good")
    assert dashboard.gates.reason("review") == "looks good"


def test_a_gate_that_is_rejected_by_clicking(dashboard: Dashboard, page: Page) -> None:
    with dashboard.running([], {"publish/all": lambda: 1}):
        card = page.locator("#waiting-gates li:not(.done)")
        expect(card).to_contain_text("waits for you")
        card.get_by_label("Reason").fill("<b>no</b>")
        page.keyboard.press("Enter")  # decides nothing
        card.get_by_role("button", name="Reject publish/all").click()
    expect(node(page, "publish/all")).to_have_attribute("data-status", "failed")
    expect(page.locator("#about")).to_contain_text("gate 'publish/all' was rejected: <b>no</b>")


def test_a_decision_that_somebody_else_made_first(dashboard: Dashboard, page: Page) -> None:
    def decide_first(route: Route) -> None:
        dashboard.gates.approve("review", "me first")
        route.continue_()

    go = threading.Event()
    page.route("**/api/gates", decide_first)
    answers: list[int] = []
    page.on("response", lambda answer: answers.append(answer.status) if "/api/gates" in answer.url else None)
    with dashboard.running([("review", "last")], {"review": lambda: 1, "last": lambda: go.wait(20)}):
        page.get_by_role("button", name="Reject review").click()
        expect(page.locator("#other-gates")).to_contain_text("review · approved: me first")
        go.set()
    expect(page.locator("#status")).to_have_text("succeeded")
    assert answers == [409]


def test_what_went_wrong_with_a_decision_is_told_beside_it(dashboard: Dashboard, page: Page) -> None:
    page.route("**/api/gates", lambda route: route.fulfill(status=409, json={"error": "it was <b>decided</b>"}))
    with dashboard.running([], {"review": lambda: 1}):
        page.get_by_role("button", name="Reject review").click()
        expect(page.get_by_role("alert").filter(has_text="it was <b>decided</b>")).to_be_visible()
        page.route("**/api/gates", lambda route: route.abort())
        page.get_by_role("button", name="Reject review").click()
        expect(page.locator("#waiting-gates .wrong")).to_have_text("The program does not answer; nothing was decided.")
        dashboard.gates.approve("review")


def test_the_same_gate_run_after_run(dashboard: Dashboard, page: Page) -> None:
    with dashboard.running([], {"review": lambda: 1}):
        page.get_by_label("Reason for deciding on review").fill("for the first")
        page.get_by_role("button", name="Approve review").click()
    with dashboard.running([], {"review": lambda: 1}):
        card = page.locator("#waiting-gates li:not(.done)")
        expect(card.get_by_label("Reason for deciding on review")).to_have_value("")
        card.get_by_role("button", name="Reject review").click()
    expect(page.locator("#status")).to_have_text("failed")
    assert dashboard.gates.reason("review") == ""


def test_an_earlier_run_has_its_own_gates(dashboard: Dashboard, page: Page) -> None:
    with dashboard.running([], {"review": lambda: 1}):
        page.get_by_role("button", name="Reject review").click()
    with dashboard.running([], {"review": lambda: 1}):
        expect(page.locator("#waiting-gates li:not(.done)")).to_have_count(1)
        page.get_by_role("combobox", name="Run").select_option(index=1)
        expect(page.locator("#other-gates")).to_contain_text("review · rejected")
        expect(page.locator("#waiting-gates li:not(.done)")).to_have_count(0)
        dashboard.gates.approve("review")


def top(locator: Any) -> float:
    return float(locator.bounding_box()["y"])


def test_no_other_button_comes_under_the_pointer(dashboard: Dashboard, open_page: Callable[[str], Page]) -> None:
    gates = {f"gate {place}": ApprovalGate() for place in range(3)}
    with Dashboard.served(gates) as one, one.running([], dict.fromkeys(gates, lambda: 1)):
        page = open_page(str(one.plugin.url))
        second = page.get_by_role("button", name="Approve gate 1")
        before = top(second)
        page.get_by_role("button", name="Approve gate 0").click()
        expect(page.locator("#waiting-gates .done")).to_contain_text("approved")
        assert abs(top(second) - before) < 6
        page.mouse.move(700, 800)
        expect(page.locator("#waiting-gates .done")).to_have_count(0)
        for name in ("gate 1", "gate 2"):
            one.gates.approve(name)


def test_links_can_be_pressed_while_the_run_goes_on(dashboard: Dashboard, page: Page) -> None:
    tasks = {"bad": fails, **{f"n{place}": (lambda: time.sleep(0.05)) for place in range(60)}}
    with dashboard.running([], tasks, max_workers=1):
        link = page.locator("#about .fault").get_by_role("button", name="bad")
        link.hover()
        page.mouse.down()
        page.wait_for_timeout(400)
        page.mouse.up()
        expect(page.locator("#about .big")).to_have_text("bad")


def test_a_long_log_keeps_what_is_read(dashboard: Dashboard, page: Page) -> None:
    go = threading.Event()
    tasks = {"last": lambda: go.wait(30), **{f"n{place}": (lambda: 1) for place in range(1_500)}}
    with dashboard.running([(f"n{place}", "last") for place in range(1_500)], tasks, gates=None):
        expect(page.locator("#counts button:visible")).to_contain_text(["1 running", "1,500 succeeded"])
        page.reload()
        expect(page.locator("#log li")).to_have_count(500)
        for count in (1_000, 1_500, 2_000, 2_500):
            page.get_by_role("button", name="Older entries").click()
            expect(page.locator("#log li")).to_have_count(count)
        first = page.locator("#log li").first.get_attribute("data-number")
        go.set()
    expect(page.locator("#log li").last).to_contain_text("run succeeded")
    assert page.locator("#log li").first.get_attribute("data-number") == first
    assert page.locator("#log li").count() == 2_502


def test_a_server_that_streams_nothing_is_not_asked_without_end(dashboard: Dashboard, page: Page) -> None:
    asked: list[str] = []
    page.route("**/api/events*", lambda route: route.fulfill(status=502))
    page.on("request", lambda request: asked.append(request.url) if "/api/" in request.url else None)
    page.reload()
    page.wait_for_timeout(3_000)
    assert 1 <= len(asked) <= 8
    page.unroute("**/api/events*")
    expect(page.locator("#connection")).to_have_text("live")


def test_what_is_typed_stays_while_the_run_goes_on(dashboard: Dashboard, page: Page) -> None:
    go = threading.Event()
    tasks = {"review": lambda: 1, "other": lambda: go.wait(20), "publish/all": lambda: 1}
    with dashboard.running([("other", "publish/all")], tasks):
        field = page.get_by_label("Reason for deciding on review")
        field.press_sequentially("half a ")
        go.set()
        expect(page.locator("#waiting-gates li:not(.done)")).to_have_count(2)
        field.press_sequentially("sentence")
        expect(field).to_have_value("half a sentence")
        expect(field).to_be_focused()
        page.get_by_role("button", name="Approve publish/all").click()
        page.get_by_role("button", name="Approve review").click()
    assert dashboard.gates.reason("review") == "half a sentence"


def test_a_reload_in_the_middle(dashboard: Dashboard, page: Page) -> None:
    go = threading.Event()
    with dashboard.running(EDGES, {"extract": lambda: 1, "clean": lambda: go.wait(20), "report": lambda: 1}):
        expect(node(page, "clean")).to_have_attribute("data-status", "running")
        page.reload()
        expect(node(page, "extract")).to_have_attribute("data-status", "succeeded")
        expect(node(page, "clean")).to_have_attribute("data-status", "running")
        expect(page.locator("#log li")).to_have_count(4)
        go.set()
        expect(page.locator("#status")).to_have_text("succeeded")
    expect(page.locator("#log li")).to_have_count(8)


def test_two_tabs(dashboard: Dashboard, page: Page, open_page: Callable[[str], Page]) -> None:
    other = open_page(str(dashboard.plugin.address))  # the cookie is the first tab's
    with dashboard.running([], {"review": lambda: 1}):
        for one in (page, other):
            expect(one.locator("#waiting-gates li:not(.done)")).to_have_count(1)
        other.get_by_role("button", name="Approve review").click()
        for one in (page, other):
            expect(one.locator("#status")).to_have_text("succeeded")
            expect(one.locator("#waiting-gates li:not(.done)")).to_have_count(0)


class Wire:
    """A wire between browser and dashboard that can be cut."""

    def __init__(self, target: str) -> None:
        host, _, port = target.removeprefix("http://").partition(":")
        self._target = host, int(port)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._ends: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self.whole = True
        self._start(self._accept)

    @property
    def port(self) -> int:
        return int(self._listening.getsockname()[1])

    def _start(self, target: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=target, args=args)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                if not self.whole:
                    near.close()
                    continue
                far = socket.create_connection(self._target)
                self._ends += [near, far]
                self._start(self._carry, near, far)
                self._start(self._carry, far, near)

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while part := source.recv(65_536):
                sink.sendall(part)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        self.whole = False
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.cut()
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for thread in self._threads:
            thread.join(10)
        for end in self._ends:
            end.close()


def test_a_connection_that_drops_and_comes_again(dashboard: Dashboard, open_page: Callable[[str], Page]) -> None:
    wire = Wire(str(dashboard.plugin.address))
    try:
        query = str(dashboard.plugin.url).partition("?")[2]
        page = open_page(f"http://127.0.0.1:{wire.port}/?{query}")
        go = threading.Event()
        with dashboard.running(EDGES, {"extract": lambda: 1, "clean": lambda: go.wait(20), "report": lambda: 1}):
            expect(node(page, "clean")).to_have_attribute("data-status", "running")
            wire.cut()
            expect(page.locator("#connection")).to_contain_text("connection lost")
            go.set()
        expect(node(page, "clean")).to_have_attribute("data-status", "running")  # as far as is known
        wire.whole = True
        expect(page.locator("#connection")).to_have_text("live")
        expect(page.locator("#status")).to_have_text("succeeded")
        expect(page.locator("#log li")).to_have_count(8)
    finally:
        wire.close()


def test_the_end_of_the_program(dashboard: Dashboard, page: Page) -> None:
    dashboard.run([], {"a": lambda: 1})
    dashboard.plugin.teardown()
    expect(page.locator("#notice")).to_contain_text("The program has ended")
    expect(node(page, "a")).to_have_attribute("data-status", "succeeded")


def test_a_program_that_is_started_again_with_another_token(dashboard: Dashboard, page: Page) -> None:
    port = int(str(dashboard.plugin.address).rpartition(":")[2])
    dashboard.plugin.teardown()
    with Dashboard.served(port=port, token="another one, for the same port"):
        expect(page.locator("#notice")).to_contain_text("no longer valid. Open the address that the program printed")


def test_a_program_that_is_started_again_with_the_same_token(dashboard: Dashboard, page: Page) -> None:
    port = int(str(dashboard.plugin.address).rpartition(":")[2])
    dashboard.plugin.teardown()
    with Dashboard.served(port=port) as again:
        expect(page.locator("#connection")).to_have_text("live")
        again.run([], {"b": lambda: 1})
        expect(node(page, "b")).to_have_attribute("data-status", "succeeded")


def test_without_a_token_a_form_asks(dashboard: Dashboard, context: BrowserContext) -> None:
    page = context.new_page()
    page.goto(str(dashboard.plugin.address))
    page.get_by_label("Token").fill("wrong")
    page.get_by_role("button").click()
    expect(page.locator("main")).to_contain_text("That is not the token of this dashboard.")
    page.get_by_label("Token").fill(dashboard.plugin.token)
    page.get_by_role("button").click()
    expect(page.locator("#connection")).to_have_text("live")
    assert page.url == f"{dashboard.plugin.address}/"


def test_earlier_runs(dashboard: Dashboard, page: Page) -> None:
    dashboard.run([], {"first": lambda: 1})
    dashboard.run([], {"second": fails})
    expect(node(page, "second")).to_have_attribute("data-status", "failed")
    page.get_by_role("combobox", name="Run").select_option(index=1)
    expect(node(page, "first")).to_have_attribute("data-status", "succeeded")
    expect(page.locator("#notice")).to_contain_text("This is an earlier run.")
    page.reload()
    expect(node(page, "first")).to_be_visible()
    page.get_by_role("button", name="Show the newest").click()
    expect(node(page, "second")).to_be_visible()
    dashboard.run([], {"third": lambda: 1})  # and it follows
    expect(node(page, "third")).to_be_visible()


def test_by_keyboard_alone(dashboard: Dashboard, page: Page) -> None:
    dashboard.run(EDGES, {"extract": lambda: 1, "clean": fails, "report": lambda: 1})
    expect(node(page, "report")).to_be_visible()
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.matches('.node')"):
            break
    expect(node(page, "extract")).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(node(page, "clean")).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(node(page, "report")).to_be_focused()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    expect(page.locator("#about .big")).to_have_text("clean")
    expect(page.locator("#announce")).to_contain_text("1 node failed")


def test_whoever_decides_by_keyboard_goes_on_with_the_next_gate(
    dashboard: Dashboard, open_page: Callable[[str], Page]
) -> None:
    gates = {f"gate {place}": ApprovalGate() for place in range(2)}
    with Dashboard.served(gates) as one, one.running([], dict.fromkeys(gates, lambda: 1)):
        page = open_page(str(one.plugin.url))
        page.get_by_role("button", name="Approve gate 0").press("Enter")
        expect(page.get_by_label("Reason for deciding on gate 1")).to_be_focused()
        page.get_by_role("button", name="Approve gate 1").press("Enter")
        expect(page.locator("#gates-title")).to_be_focused()


def test_an_address_that_somebody_spoilt(dashboard: Dashboard, page: Page) -> None:
    dashboard.run([], {"a": lambda: 1})
    page.goto(f"{dashboard.plugin.address}/#run=%")
    page.reload()
    expect(node(page, "a")).to_have_attribute("data-status", "succeeded")


def test_only_some_nodes(dashboard: Dashboard, page: Page) -> None:
    tasks = {**{f"step_{place}": (lambda: 1) for place in range(30)}, "bad": fails}
    dashboard.run([], tasks)
    expect(page.locator("#status")).to_have_text("failed")
    page.get_by_role("button", name="1 failed").click()
    expect(page.locator(".row")).to_have_count(1)
    expect(page.locator("#timeline-hint")).to_have_text("1 of 31 nodes that are failed")
    page.get_by_role("button", name="1 failed").click()
    page.get_by_label("Find a node").fill("step_2")
    expect(page.locator("#timeline-hint")).to_have_text("11 of 31 nodes")


def test_older_entries_of_the_log(dashboard: Dashboard, page: Page) -> None:
    dashboard.run([], {f"n{place}": (lambda: 1) for place in range(400)})
    expect(page.locator("#status")).to_have_text("succeeded")
    page.reload()
    expect(page.locator("#log li")).to_have_count(500)
    page.get_by_role("button", name="Older entries").click()
    expect(page.locator("#log li")).to_have_count(802)
    expect(page.locator("#log li").first).to_contain_text("run began: 400 nodes")
    expect(page.get_by_role("button", name="Older entries")).to_be_hidden()


def grid(across: int, down: int) -> list[tuple[str, str]]:
    return [
        (f"n{column}_{row}", f"n{column + 1}_{(row * step + 1) % down}")
        for column in range(across - 1)
        for row in range(down)
        for step in (1, 3)
    ]


def test_five_hundred_nodes(dashboard: Dashboard, page: Page) -> None:
    tasks = {f"n{column}_{row}": (lambda: time.sleep(0.01)) for column in range(25) for row in range(20)}
    with dashboard.running(grid(25, 20), tasks, max_workers=8):
        expect(page.locator(".node")).to_have_count(500)
        node(page, "n3_3").press("Enter")  # the page answers while the run goes on
        expect(page.locator("#about .big")).to_have_text("n3_3")
    expect(page.locator("#counts button:visible")).to_have_text(["500 succeeded"])
    assert page.locator(".node[data-status=succeeded]").count() == 500
    before = page.locator("#graph > g").get_attribute("transform")
    page.mouse.move(400, 450)
    page.mouse.wheel(0, -300)
    expect(page.locator("#graph > g")).not_to_have_attribute("transform", str(before))
    page.get_by_role("button", name="Fit").click()
    expect(page.locator("#graph > g")).to_have_attribute("transform", str(before))


def test_a_graph_that_is_too_large_to_draw(dashboard: Dashboard, page: Page) -> None:
    dashboard.run([], dict.fromkeys([f"n{place}" for place in range(5_000)], lambda: 1), gates=None)
    expect(page.locator("#graph-note")).to_have_text("5,000 nodes are too many to draw; the timeline has all of them.")
    expect(page.locator("#counts button:visible")).to_have_text(["5,000 succeeded"])
    assert page.locator(".row").count() < 100


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 420])
def test_it_is_for_everybody(dashboard: Dashboard, page: Page, theme: Any, width: int) -> None:
    """What axe-core finds: contrast, names, roles, structure; and nothing sticks out at the side."""
    page.emulate_media(color_scheme=theme, reduced_motion="reduce")
    page.set_viewport_size({"width": width, "height": 900})
    tasks = {"extract": lambda: 1, "clean": fails, "report": lambda: 1, "review": lambda: 1, "other": lambda: 1}
    with dashboard.running([*EDGES, ("other", "review")], tasks):
        expect(page.locator("#waiting-gates li:not(.done)")).to_have_count(1)
        node(page, "clean").press("Enter")
        expect(page.locator("#about .big")).to_have_text("clean")
        page.locator("#about summary").click()
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        dashboard.gates.approve("review")


def test_dark_and_light_are_remembered(dashboard: Dashboard, page: Page) -> None:
    back = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(back)
    page.get_by_role("button", name="Switch between dark and light").click()
    dark = page.evaluate(back)
    assert dark != light
    page.reload()
    assert page.evaluate(back) == dark


def test_gates_that_are_there_before_the_page_is(dashboard: Dashboard, open_page: Callable[[str], Page]) -> None:
    gates = {f"gate {place}": ApprovalGate() for place in range(3)}
    with Dashboard.served(gates) as one, one.running([], dict.fromkeys(gates, lambda: 1)):
        page = open_page(str(one.plugin.url))
        for name in gates:
            page.get_by_role("button", name=f"Approve {name}").click()
        expect(page.locator("#status")).to_have_text("succeeded")
