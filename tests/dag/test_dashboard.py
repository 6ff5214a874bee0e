"""The dashboard as programs see it: its answers over HTTP."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import threading
import time
import traceback
import warnings
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import httpx2
import pytest

from dagstack_plugins.dag import (
    DAG,
    ApprovalGate,
    DagError,
    DAGExecutor,
    DashboardPlugin,
    HookContext,
    HookEvent,
    HookRegistry,
    PluginManager,
    PrometheusPlugin,
)
from tests.dag.conftest import TOKEN, Dashboard


def statuses(run: Any) -> dict[str, str]:
    return {node["name"]: node["status"] for node in run["nodes"]}


def fails() -> None:
    raise ValueError("no such column")


# What is known of a run


def test_before_any_run(dashboard: Dashboard) -> None:
    state = dashboard.state()
    assert (state["run"], state["runs"]) == (None, [])
    assert [gate["name"] for gate in state["gates"]] == ["review", "publish/all"]


def test_a_run_that_has_ended(dashboard: Dashboard) -> None:
    tasks = {"a": lambda: 1, "b": fails, "c": lambda: 2, "d": lambda: 3}
    result = dashboard.run([("a", "b"), ("b", "c"), ("c", "d")], tasks)
    run = dashboard.state()["run"]
    assert (run["id"], run["status"], run["seconds"]) == (result.run_id, "failed", result.total_duration_seconds)
    assert statuses(run) == {"a": "succeeded", "b": "failed", "c": "skipped", "d": "skipped"}
    assert run["counts"] == {"succeeded": 1, "failed": 1, "skipped": 2}
    assert run["edges"] == [["a", "b"], ["b", "c"], ["c", "d"]]
    a, b = run["nodes"][:2]
    assert (a["attempts"], a["error"]) == (1, None)
    assert a["seconds"] == result.node_results["a"].duration_seconds
    assert b["error"]["type"] == "ValueError"
    assert b["error"]["message"] == "no such column"
    assert run["nodes"][2]["error"]["message"] == "no such column"  # that for which it was skipped
    assert "in fails" in b["error"]["traceback"]
    log = [(entry["event"], entry["node"]) for entry in run["log"]]
    assert log == [
        ("pre_execute", None),
        ("pre_node", "a"),
        ("post_node", "a"),
        ("pre_node", "b"),
        ("on_error", "b"),
        ("skipped", "c"),
        ("skipped", "d"),
        ("post_execute", None),
    ]
    assert [entry["number"] for entry in run["log"]] == list(range(8))
    assert run["log"][-1]["message"].startswith("failed in ")


def test_values_of_nodes_are_never_told(dashboard: Dashboard) -> None:
    dashboard.run([], {"a": lambda: "a secret"})
    assert "a secret" not in dashboard.client.get("/api/state").text


def test_a_run_that_is_under_way(dashboard: Dashboard) -> None:
    begun, go = threading.Event(), threading.Event()

    def wait() -> None:
        begun.set()
        go.wait(10)

    with dashboard.running([("a", "b")], {"a": wait, "b": lambda: 1}):
        assert begun.wait(10)
        run = dashboard.state()["run"]
        assert (run["status"], statuses(run)) == ("running", {"a": "running", "b": "pending"})
        assert run["seconds"] > run["nodes"][0]["started"] >= 0
        go.set()
    assert dashboard.state()["run"]["counts"] == {"succeeded": 2}


def test_nodes_that_a_cancelled_run_left(dashboard: Dashboard) -> None:
    dag = DAG()
    dag.add_nodes(["a", "b"])
    dag.add_edge("a", "b")
    executor = DAGExecutor(dag, hooks=dashboard.hooks)
    executor.execute({"a": executor.cancel, "b": lambda: 1})
    run = dashboard.state()["run"]
    assert statuses(run) == {"a": "succeeded", "b": "cancelled"}
    assert run["status"] == "cancelled"
    assert ("cancelled", "b") in [(entry["event"], entry["node"]) for entry in run["log"]]


def test_nodes_that_took_too_long(dashboard: Dashboard) -> None:
    go = threading.Event()
    dashboard.run([], {"a": lambda: go.wait(10)}, timeout=0.05)
    go.set()
    run = dashboard.state()["run"]
    assert statuses(run) == {"a": "timed_out"}
    assert run["nodes"][0]["error"]["type"] == "NodeTimeout"


def test_attributes_of_nodes_come_along(dashboard: Dashboard) -> None:
    dag = DAG()
    dag.add_node("a", owner="data team", secret=object())
    DAGExecutor(dag, hooks=dashboard.hooks).execute({"a": lambda: 1})
    assert dashboard.state()["run"]["nodes"][0]["attributes"] == {"owner": "data team"}


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", 'a "quoted" one', "\udcff", "a\nb", "🦆"])
def test_names_come_as_they_are(dashboard: Dashboard, name: str) -> None:
    dashboard.run([], {name: fails})
    text = dashboard.client.get("/api/state").text
    assert json.loads(text)["run"]["nodes"][0]["name"] == name


def test_errors_that_say_too_much_are_cut(dashboard: Dashboard) -> None:
    def shout() -> None:
        raise ValueError("x" * 100_000)

    dashboard.run([], {"a": shout})
    error = dashboard.state()["run"]["nodes"][0]["error"]
    assert len(error["message"]) == 2_000
    assert len(error["traceback"]) < 21_000


def test_earlier_runs(dashboard: Dashboard) -> None:
    first = dashboard.run([], {"a": lambda: 1}).run_id
    second = dashboard.run([], {"b": fails}).run_id
    state = dashboard.state()
    assert [(run["id"], run["status"]) for run in state["runs"]] == [(first, "succeeded"), (second, "failed")]
    assert state["run"]["id"] == second
    assert statuses(dashboard.state(run=first)["run"]) == {"a": "succeeded"}


def test_only_some_earlier_runs_are_kept(dashboard: Dashboard) -> None:
    ids = [dashboard.run([], {"a": lambda: 1}).run_id for _ in range(25)]
    kept = [run["id"] for run in dashboard.state()["runs"]]
    assert kept == ids[-len(kept) :]
    assert 20 <= len(kept) < 25
    answer = dashboard.client.get("/api/state", params={"run": ids[0]})
    assert (answer.status_code, answer.json()["error"]) == (
        404,
        f"there is no run '{ids[0]}'; an older one may have been forgotten",
    )


def test_older_entries_of_the_log(dashboard: Dashboard) -> None:
    run = dashboard.run([], {f"n{place}": (lambda: 1) for place in range(400)}).run_id
    told = dashboard.state()["run"]
    assert (told["log_total"], len(told["log"]), told["log"][0]["number"]) == (802, 500, 302)
    older = dashboard.client.get("/api/log", params={"run": run, "before": 302}).json()["log"]
    assert [entry["number"] for entry in older] == list(range(302))


@pytest.mark.parametrize(
    ("query", "status", "told"),
    [
        ({"run": "x", "before": "1"}, 404, "there is no run 'x'; an older one may have been forgotten"),
        ({"run": "x"}, 400, "before is the number of an entry, found ''"),
        ({"run": "x", "before": "-1"}, 400, "before is the number of an entry, found '-1'"),
    ],
)
def test_wrong_questions_for_the_log(dashboard: Dashboard, query: dict[str, str], status: int, told: str) -> None:
    answer = dashboard.client.get("/api/log", params=query)
    assert (answer.status_code, answer.json()) == (status, {"error": told})


def test_events_that_somebody_fires_by_hand(dashboard: Dashboard) -> None:
    hooks = dashboard.hooks
    hooks.fire(HookContext(event=HookEvent.PRE_NODE, node_name="a"))
    assert statuses(dashboard.state()["run"]) == {"a": "running"}
    hooks.fire(HookContext(event=HookEvent.POST_NODE, node_name="a", node_result="done"))
    hooks.fire(HookContext(event=HookEvent.ON_ERROR, node_name="b"))
    hooks.fire(HookContext(event=HookEvent.POST_EXECUTE, execution_result="all"))
    run = dashboard.state()["run"]
    assert statuses(run) == {"a": "succeeded", "b": "failed"}
    assert run["status"] == "ended"


def test_a_run_that_began_before_the_dashboard_listened(dashboard: Dashboard) -> None:
    dag = DAG()
    dag.add_nodes(["a", "b"])
    dag.add_edge("a", "b")
    hooks = HookRegistry()
    dashboard.plugin.teardown()
    DAGExecutor(dag, hooks=hooks).execute({"a": lambda: dashboard.plugin.initialize(hooks), "b": lambda: 1})
    with httpx2.Client(trust_env=False) as client:
        headers = {"authorization": f"Bearer {TOKEN}"}
        run = client.get(f"{dashboard.plugin.address}/api/state", headers=headers).json()["run"]
    assert statuses(run) == {"a": "succeeded", "b": "succeeded"}
    assert run["status"] == "succeeded"


# The stream


def test_the_stream_tells_all_and_then_what_changes(dashboard: Dashboard) -> None:
    go = threading.Event()
    with dashboard.events() as events:
        assert next(events)[0] == "state"
        with dashboard.running([("a", "b")], {"a": lambda: go.wait(10), "b": lambda: 1}):
            name, state = next(event for event in events if event[0] == "state")
            known = {node["name"]: node["status"] for node in state["run"]["nodes"]}
            seen = [entry["number"] for entry in state["run"]["log"]]
            go.set()
            for name, told in events:
                if name != "changes":
                    continue
                known |= {node["name"]: node["status"] for node in told["nodes"]}
                seen += [entry["number"] for entry in told["log"]]
                if told["status"] != "running":
                    break
    assert known == {"a": "succeeded", "b": "succeeded"}
    assert seen == list(range(6))


def test_no_event_is_missing_from_what_the_stream_adds_up_to(dashboard: Dashboard) -> None:
    names = [f"n{place}" for place in range(3_000)]
    with dashboard.events() as events:
        next(events)
        result = dashboard.run([], dict.fromkeys(names, lambda: 1), gates=None)
        nodes: dict[str, Any] = {}
        for name, told in events:
            if name == "state" and told["run"] is not None:
                nodes = {node["name"]: node for node in told["run"]["nodes"]}
                total, status = told["run"]["log_total"], told["run"]["status"]
            elif name == "changes":
                nodes |= {node["name"]: node for node in told["nodes"]}
                total, status = told["log_total"], told["status"]
            if nodes and status != "running":
                break
    assert total == 6_002
    assert {name: node["seconds"] for name, node in nodes.items()} == {
        name: one.duration_seconds for name, one in result.node_results.items()
    }


def test_the_stream_of_an_earlier_run_stays_with_it(dashboard: Dashboard) -> None:
    first = dashboard.run([], {"a": lambda: 1}).run_id
    with dashboard.events(run=first) as events:
        assert next(events)[1]["run"]["id"] == first
        second = dashboard.run([], {"b": lambda: 1}).run_id
        name, told = next(events)
        assert (name, [run["id"] for run in told["runs"]]) == ("overview", [first, second])


def test_the_end_of_the_dashboard_is_told_with_all_that_was_left_to_tell(dashboard: Dashboard) -> None:
    with dashboard.events() as events:
        next(events)
        dashboard.run([], {"a": lambda: 1})
        begun = time.monotonic()
        dashboard.plugin.teardown()
        told = list(events)
    assert time.monotonic() - begun < 5
    assert told[-1] == ("end", {})
    assert told[-2][1]["run"]["status"] == "succeeded"


def test_a_reader_that_reads_nothing_holds_up_nobody(dashboard: Dashboard) -> None:
    host, port = str(dashboard.plugin.address).removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as lazy:
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        request = f"GET /api/events HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
        lazy.sendall(request.encode())
        tasks = dict.fromkeys([f"n{place}" for place in range(2_000)], lambda: 1)
        for _ in range(3):
            assert dashboard.run([], tasks, gates=None).ok
        assert dashboard.state()["run"]["counts"] == {"succeeded": 2_000}
        begun = time.monotonic()
        dashboard.plugin.teardown()
    assert time.monotonic() - begun < 10


# Gates


def waiting(dashboard: Dashboard, name: str) -> None:
    deadline = time.monotonic() + 10
    while dashboard.gates.status(name) != "waiting":
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("decision", "becomes", "ends"), [("approve", "approved", "succeeded"), ("reject", "rejected", "failed")]
)
def test_a_decision(dashboard: Dashboard, decision: str, becomes: str, ends: str) -> None:
    with dashboard.running([], {"review": lambda: 1}):
        waiting(dashboard, "review")
        state = dashboard.state()
        assert statuses(state["run"]) == {"review": "waiting"}
        gate = state["gates"][0]
        assert (gate["status"], gate["timeout"]) == ("waiting", 600)
        assert 590 < gate["seconds_left"] <= 600
        answer = dashboard.client.post(f"/api/gates/review/{decision}", json={"reason": "odd numbers"})
        assert answer.json() == {"gate": "review", "status": becomes, "reason": "odd numbers"}
    run = dashboard.state()["run"]
    assert statuses(run) == {"review": ends}
    told = [entry["message"] for entry in run["log"] if entry["event"] == "gate"]
    assert told == ["waiting", f"{becomes}: odd numbers"]


def test_a_gate_is_decided_once(dashboard: Dashboard) -> None:
    assert dashboard.client.post("/api/gates/review/approve").status_code == 200
    answer = dashboard.client.post("/api/gates/review/reject", json={})
    assert answer.status_code == 409
    assert answer.json() == {"error": "gate 'review' was approved already; that stands"}
    assert dashboard.gates.status("review") == "approved"


def test_a_gate_whose_name_has_a_slash(dashboard: Dashboard) -> None:
    assert dashboard.client.post("/api/gates/publish%2Fall/approve").status_code == 200
    assert dashboard.gates.status("publish/all") == "approved"


@pytest.mark.parametrize(
    ("path", "body", "status", "told"),
    [
        ("revew/approve", b"", 404, "there is no gate 'revew' (did you mean 'review'?)"),
        ("review/accept", b"", 404, "a gate can be approved or rejected, and not: 'accept'"),
        ("review/approve", b"{", 400, 'a decision is JSON: {"reason": "…"}, or nothing'),
        ("review/approve", b"\xff", 400, 'a decision is JSON: {"reason": "…"}, or nothing'),
        ("review/approve", b"[]", 400, 'a decision is one object with a text: {"reason": "…"}, or nothing'),
        ("review/approve", b'{"reason": 1}', 400, 'a decision is one object with a text: {"reason": "…"}, or nothing'),
        ("review/approve", b'{"raeson": ""}', 400, "a decision has reason, number, and nothing else; found: raeson"),
        ("review/approve", b" " * 70_000, 400, "a decision has at most 65536 bytes"),
        ("review/approve", b'{"reason": "%s"}' % (b"x" * 5_000), 400, "a reason has at most 4000 characters"),
    ],
)
def test_wrong_decisions_decide_nothing(dashboard: Dashboard, path: str, body: bytes, status: int, told: str) -> None:
    answer = dashboard.client.post(f"/api/gates/{path}", content=body)
    assert (answer.status_code, answer.json()) == (status, {"error": told})
    assert dashboard.gates.status("review") == "pending"


def test_a_decision_is_a_post(dashboard: Dashboard) -> None:
    assert dashboard.client.get("/api/gates/review/approve").status_code == 405
    assert dashboard.gates.status("review") == "pending"


def test_without_gates() -> None:
    plugin = DashboardPlugin(port=0, token=TOKEN)
    plugin.initialize(HookRegistry())
    try:
        with httpx2.Client(base_url=str(plugin.address), trust_env=False) as client:
            answer = client.post("/api/gates/x/approve", headers={"authorization": f"Bearer {TOKEN}"})
    finally:
        plugin.teardown()
    assert answer.json() == {"error": "this dashboard has no gates: DashboardPlugin(gate_controller=…) gives it some"}


# Who may


def ask(dashboard: Dashboard, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], str]:
    """Ask without a client's own headers."""
    place = str(dashboard.plugin.address).removeprefix("http://")
    connection = HTTPConnection(place, timeout=10)
    try:
        connection.putrequest(method, path, skip_host="host" in headers)
        for name, value in headers.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read().decode()
    finally:
        connection.close()


PATHS = ["/", "/api/state", "/api/events", "/api/log?run=x&before=1", "/metrics", "/nowhere"]


@pytest.mark.parametrize("path", PATHS)
def test_without_a_token(dashboard: Dashboard, path: str) -> None:
    status, headers, text = ask(dashboard, path)
    assert (status, headers["www-authenticate"]) == (401, "Bearer")
    assert json.loads(text)["error"].startswith("the token is missing: open the address that the program printed")


@pytest.mark.parametrize("path", PATHS)
def test_with_a_wrong_token(dashboard: Dashboard, path: str) -> None:
    status, _, text = ask(dashboard, path, authorization=f"Bearer {TOKEN}x")
    assert status == 401
    assert json.loads(text)["error"].startswith("the token is wrong")


@pytest.mark.parametrize("path", [*PATHS, "/static/main.js"])
@pytest.mark.parametrize(
    "host",
    [
        "localhost/static/",
        "127.0.0.1/static/x?",
        "a@localhost",
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example:80",
        "",
        "[",
        "a:b@c",
    ],
)
def test_a_forged_host(dashboard: Dashboard, path: str, host: str) -> None:
    status, _, text = ask(dashboard, path, host=host, authorization=f"Bearer {TOKEN}")
    assert status in (400, 403)
    assert TOKEN not in text


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://127.0.0.1", "file://", "http://localhost:1", "http://["]
)
def test_another_origin(dashboard: Dashboard, origin: str) -> None:
    for path, method in (("/api/state", "GET"), ("/api/gates/review/approve", "POST")):
        status, _, text = ask(dashboard, path, method, origin=origin, authorization=f"Bearer {TOKEN}")
        assert status == 403
        assert json.loads(text)["error"] == f"a request of another site, {origin!r}, is not answered"
    assert dashboard.gates.status("review") == "pending"


def test_a_browser_comes_in_by_the_address_that_was_printed(dashboard: Dashboard) -> None:
    path = str(dashboard.plugin.url).removeprefix(str(dashboard.plugin.address))
    status, headers, _ = ask(dashboard, path)
    assert (status, headers["location"]) == (303, "/")
    cookie = headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert TOKEN not in cookie
    pair = cookie.partition(";")[0]
    assert ask(dashboard, "/", cookie=pair)[0] == 200
    assert ask(dashboard, "/api/state", cookie=pair)[0] == 200
    own = str(dashboard.plugin.address)
    assert ask(dashboard, "/api/gates/review/approve", "POST", cookie=pair)[0] == 403  # no browser
    assert ask(dashboard, "/api/gates/review/approve", "POST", cookie=pair, origin=own)[0] == 200
    assert ask(dashboard, "/api/state", cookie=pair + "0")[0] == 401


def test_a_browser_with_a_wrong_token_is_asked_for_another(dashboard: Dashboard) -> None:
    for path, told in (("/", "for those who know its token"), ("/?token=wrong", "not the token of this dashboard")):
        status, headers, text = ask(dashboard, path, accept="text/html,*/*")
        assert (status, headers["content-type"]) == (401, "text/html; charset=utf-8")
        assert told in text
        assert '<form method="post" action="/login">' in text


@pytest.mark.parametrize(("token", "status"), [(TOKEN, 303), ("wrong", 401), ("", 401), ("x" * 10_000, 401)])
def test_the_form_that_asks(dashboard: Dashboard, token: str, status: int) -> None:
    with httpx2.Client(trust_env=False) as client:
        answer = client.post(f"{dashboard.plugin.address}/login", data={"token": token})
    assert answer.status_code == status
    assert ("set-cookie" in answer.headers) == (status == 303)


def test_a_token_in_the_address_of_something_else_is_none(dashboard: Dashboard) -> None:
    assert ask(dashboard, f"/api/state?token={TOKEN.replace(' ', '%20')}")[0] == 401


def test_headers_that_keep_a_page_safe(dashboard: Dashboard) -> None:
    for path in ("/", "/static/main.js", "/api/state"):
        headers = dashboard.client.get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'; style-src 'self';")
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert headers["cache-control"] in ("no-store", "no-cache")


def test_static_files_and_nothing_beside_them(dashboard: Dashboard) -> None:
    assert dashboard.client.get("/static/main.js").status_code == 200
    for path in (
        "/static/../board.py",
        "/static/%2e%2e/board.py",
        "/static/..%2fboard.py",
        "/static/none.js",
        "/static/",
    ):
        assert ask(dashboard, path)[0] == 404


def test_the_page_asks_nobody_else(dashboard: Dashboard) -> None:
    page = dashboard.client.get("/").text
    for path in re.findall(r'(?:src|href)="([^"#]+)"', page):
        assert path.startswith("/static/")
        assert dashboard.client.get(path).status_code == 200


def test_allowed_hosts(dashboard: Dashboard) -> None:
    with Dashboard.served(allowed_hosts=["Dash.example"]) as other:
        for host, status in (("dash.example", 200), ("dash.example:443", 200), ("other.example", 403)):
            assert ask(other, "/api/state", host=host, authorization=f"Bearer {TOKEN}")[0] == status
        origin = "https://dash.example"
        assert ask(other, "/api/state", host="dash.example", origin=origin, authorization=f"Bearer {TOKEN}")[0] == 200


def test_beyond_this_machine_addresses_are_names_of_ours_and_names_of_others_are_not() -> None:
    with Dashboard.served(host="0.0.0.0") as one:
        own = f"Bearer {TOKEN}"
        for host, status in (("192.168.1.20:8765", 200), (socket.gethostname(), 200), ("evil.example", 403)):
            assert ask(one, "/api/state", host=host, authorization=own)[0] == status


# Where it is served


def test_it_prints_the_address_that_lets_a_browser_in(capsys: pytest.CaptureFixture[str]) -> None:
    plugin = DashboardPlugin(port=0)
    plugin.initialize(HookRegistry())
    try:
        assert capsys.readouterr().out == f"Dashboard: {plugin.address}/?token={plugin.token}\n"
    finally:
        plugin.teardown()
    assert (plugin.address, plugin.url) == (None, None)


def test_a_token_of_the_users_own_is_not_printed(dashboard: Dashboard, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    with Dashboard.served() as other:
        assert capsys.readouterr().out == f"Dashboard: {other.plugin.address}/ (it asks for your token)\n"


def test_each_dashboard_makes_a_token_of_its_own() -> None:
    tokens = {DashboardPlugin().token for _ in range(10)}
    assert len(tokens) == 10
    assert all(len(token) == 32 for token in tokens)


def test_a_port_in_use_is_named_with_the_way_out(dashboard: Dashboard) -> None:
    port = int(str(dashboard.plugin.address).rpartition(":")[2])
    told = f"the dashboard has no place: port {port} of 127.0.0.1 is in use, maybe by another dashboard: give another"
    with pytest.raises(DagError, match=re.escape(told)):
        DashboardPlugin(port=port).initialize(HookRegistry())
    manager = PluginManager()
    manager.register(DashboardPlugin(port=port))
    with pytest.warns(
        RuntimeWarning, match="plugin 'dashboard' cannot be started: DagError: the dashboard has no place"
    ):
        manager.initialize_all()
    assert manager.hooks.hook_count() == 0


def test_a_host_that_is_not_here() -> None:
    with pytest.raises(DagError, match=r"the dashboard has no place: port 0 of nowhere\.invalid can't be bound"):
        DashboardPlugin("nowhere.invalid", 0, token="x" * 20).initialize(HookRegistry())


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"port": 70_000}, "port is a whole number from 0 to 65535, found 70000"),
        ({"port": "8765"}, "port is a whole number from 0 to 65535, found '8765'"),
        ({"port": True}, "port is a whole number from 0 to 65535, found True"),
        ({"token": ""}, "token is a text that is not empty, found str"),
        ({"token": b"secret"}, "token is a text that is not empty, found bytes"),
        ({"allowed_hosts": "a.example"}, "allowed_hosts are several names: ['dashboard.example'], found 'a.example'"),
        ({"host": "0.0.0.0"}, "others reach what is bound to '0.0.0.0', so that it needs a token of your own: python"),
        (
            {"host": "192.168.1.20", "token": "short"},
            "token has 16 characters or more, and no space at its ends: python",
        ),
        ({"token": "a token of a file\n"}, "token has 16 characters or more, and no space at its ends"),
        ({"host": "::"}, "others reach what is bound to '::'"),
    ],
)
def test_wrong_arguments(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        DashboardPlugin(**given)


def test_ipv6() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("needs IPv6")
    plugin = DashboardPlugin("::1", 0, token=TOKEN)
    plugin.initialize(HookRegistry())
    try:
        with httpx2.Client(trust_env=False) as client:
            address = str(plugin.address)
            assert address.startswith("http://[::1]:")
            assert client.get(f"{address}/api/state", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200
    finally:
        plugin.teardown()


def test_served_twice_ended_twice_and_served_again(dashboard: Dashboard) -> None:
    with pytest.raises(DagError, match=r"the dashboard is served already, at http://127.0.0.1:\d+: call teardown\(\)"):
        dashboard.plugin.initialize(dashboard.hooks)
    dashboard.run([], {"a": lambda: 1})
    dashboard.plugin.teardown()
    dashboard.plugin.teardown()
    hooks = HookRegistry()
    dashboard.plugin.initialize(hooks)
    with httpx2.Client(trust_env=False) as client:
        headers = {"authorization": f"Bearer {TOKEN}"}
        state = client.get(f"{dashboard.plugin.address}/api/state", headers=headers).json()
    assert [run["status"] for run in state["runs"]] == ["succeeded"]


def test_nothing_is_left_when_it_ends() -> None:
    before = set(threading.enumerate())
    with Dashboard.served({"review": ApprovalGate()}) as one, one.events() as events:
        next(events)
        one.client.get("/")
        one.client.post("/api/gates/review/approve")
        address = str(one.plugin.address)
        one.plugin.teardown()
        deadline = time.monotonic() + 10
        while (left := set(threading.enumerate()) - before) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not left
    with pytest.raises(httpx2.ConnectError), httpx2.Client(trust_env=False) as client:
        client.get(address)


def test_a_program_that_forgets_teardown_ends_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(
        "from dagstack_plugins.dag import *\n"
        "manager = PluginManager(); manager.register(DashboardPlugin(port=0)); manager.initialize_all()\n"
        "dag = DAG(); dag.add_node('a')\n"
        "print(DAGExecutor(dag, hooks=manager.hooks).execute({'a': lambda: 1}).ok)\n"
    )
    done = subprocess.run(
        [sys.executable, tmp_path / "program.py"], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.splitlines()[1:] == ["True"]
    assert done.stderr == ""


def test_the_hosts_logging_is_left_alone_and_has_no_token(caplog: pytest.LogCaptureFixture) -> None:
    import logging

    access = logging.getLogger("uvicorn.access")
    handlers, level = list(access.handlers), access.level
    with caplog.at_level(logging.DEBUG), Dashboard.served() as one:
        ask(one, f"/?token={TOKEN.replace(' ', '%20')}")
    assert TOKEN.replace(" ", "%20") not in caplog.text
    assert (access.handlers, access.level, access.propagate) == (handlers, level, True)


def test_open_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    is_open = threading.Event()

    def note(url: str) -> None:
        opened.append(url)
        is_open.set()

    monkeypatch.setattr("webbrowser.open", note)
    plugin = DashboardPlugin(port=0, open_browser=True)
    plugin.initialize(HookRegistry())
    try:
        assert is_open.wait(10)
        assert opened == [plugin.url]
    finally:
        plugin.teardown()


def test_metrics(dashboard: Dashboard) -> None:
    assert dashboard.client.get("/metrics").status_code == 404
    prometheus = PrometheusPlugin()
    with Dashboard.served(metrics=prometheus) as one:
        prometheus.initialize(one.hooks)
        one.run([], {"a": lambda: 1})
        answer = one.client.get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert 'dagstack_dag_runs_total{status="succeeded"} 1.0' in answer.text


def test_an_error_that_cannot_be_told_is_told_somehow(dashboard: Dashboard) -> None:
    class Odd(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    def odd() -> None:
        raise Odd

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dashboard.run([], {"a": odd})
    assert dashboard.state()["run"]["nodes"][0]["error"]["type"] == "Odd"


def test_what_comes_too_late_is_no_decision_about_the_next_run(dashboard: Dashboard) -> None:
    with dashboard.running([], {"review": lambda: 1}):
        waiting(dashboard, "review")
        number = dashboard.state()["gates"][0]["number"]
        dashboard.gates.reject("review")
    assert dashboard.client.post("/api/gates/review/approve").status_code == 409
    with dashboard.running([], {"review": lambda: 1}):
        waiting(dashboard, "review")
        answer = dashboard.client.post("/api/gates/review/approve", json={"number": number})
        assert answer.status_code == 409
        assert answer.json() == {"error": "at gate 'review' something else waits now; nothing was decided"}
        number = dashboard.state()["gates"][0]["number"]
        given = {"gate": "review", "decision": "approve", "number": number}
        assert dashboard.client.post("/api/gates", json=given).status_code == 200
    assert dashboard.state()["run"]["status"] == "succeeded"


def test_fields_with_odd_names(dashboard: Dashboard) -> None:
    answer = dashboard.client.post("/api/gates/review/approve", content=b'{"\\udcff": 1}')
    assert answer.status_code == 400
    assert answer.json()["error"].endswith("found: \udcff")


@pytest.mark.parametrize("name", ["a\nb", ".", "..", "\udcff", "a/approve", ""])
def test_gates_with_odd_names_can_be_decided(name: str) -> None:
    with Dashboard.served({name: ApprovalGate()}) as one:
        content = json.dumps({"gate": name, "decision": "reject"})
        assert one.client.post("/api/gates", content=content).status_code == 200
        assert one.gates.status(name) == "rejected"


@pytest.mark.parametrize(
    "given", [{}, {"gate": 1, "decision": "approve"}, {"gate": "review"}, {"gate": "review", "decision": "x"}]
)
def test_decisions_that_say_too_little(dashboard: Dashboard, given: dict[str, Any]) -> None:
    answer = dashboard.client.post("/api/gates", json=given)
    assert answer.status_code == 400
    assert "a decision says which" in answer.json()["error"]


def test_gates_belong_to_their_runs(dashboard: Dashboard) -> None:
    dashboard.gates.approve("review", "in advance")
    first = dashboard.run([], {"review": fails, "publish/all": lambda: 1}, fail_fast=True, max_workers=1)
    with dashboard.running([], {"review": lambda: 1, "other": lambda: 1}):
        waiting(dashboard, "review")
        gates = dashboard.state(run=first.run_id)["gates"]
        assert (gates[0]["name"], gates[0]["status"]) == ("review", "approved")
        assert dashboard.state()["gates"][0]["status"] == "waiting"
        dashboard.gates.reject("review")
    assert [(gate["name"], gate["status"]) for gate in dashboard.state()["gates"]] == [("review", "rejected")]


def test_only_what_could_begin_waits_at_a_gate(dashboard: Dashboard) -> None:
    begun, go = threading.Event(), threading.Event()

    def first() -> None:
        begun.set()
        go.wait(10)

    with dashboard.running([("first", "review")], {"first": first, "review": lambda: 1}, gates=None):
        assert begun.wait(10)
        with dashboard.running([], {"review": lambda: 1}):
            waiting(dashboard, "review")
            runs = dashboard.state()["runs"]
            assert statuses(dashboard.state(run=runs[0]["id"])["run"])["review"] == "pending"
            assert statuses(dashboard.state(run=runs[1]["id"])["run"])["review"] == "waiting"
            dashboard.gates.approve("review")
        go.set()


def test_how_long_somebody_was_waited_for(dashboard: Dashboard) -> None:
    with dashboard.running([], {"review": lambda: 1}):
        waiting(dashboard, "review")
        time.sleep(0.1)
        dashboard.gates.approve("review")
    node = dashboard.state()["run"]["nodes"][0]
    assert node["waited"] >= 0.1
    assert node["waited_at"] + node["waited"] <= node["started"]


def test_a_dashboard_that_is_ended_and_served_again_hears_once(dashboard: Dashboard) -> None:
    dashboard.plugin.teardown()
    assert dashboard.hooks.hook_count() == 0
    dashboard.plugin.initialize(dashboard.hooks)
    assert dashboard.hooks.hook_count() == 5


def test_a_run_whose_end_nobody_heard_is_told_as_ended(dashboard: Dashboard) -> None:
    hooks = HookRegistry()
    dag = DAG()
    dag.add_node("a")
    DAGExecutor(dag, hooks=dashboard.hooks).execute({"a": dashboard.plugin.teardown})
    dashboard.plugin.initialize(hooks)
    with httpx2.Client(trust_env=False) as client:
        headers = {"authorization": f"Bearer {TOKEN}"}
        told = client.get(f"{dashboard.plugin.address}/api/state", headers=headers).json()
    assert [run["status"] for run in told["runs"]] == ["ended"]


def test_an_end_that_is_told_twice_changes_nothing(dashboard: Dashboard) -> None:
    result = dashboard.run([], {"a": lambda: 1})
    before = dashboard.state()["run"]
    dashboard.hooks.fire(HookContext(event=HookEvent.POST_EXECUTE, run_id=result.run_id, execution_result=result))
    assert dashboard.state()["run"] == before


def test_of_many_failures_some_tracebacks_are_kept(dashboard: Dashboard) -> None:
    dashboard.run([], {f"n{place}": fails for place in range(150)}, max_workers=1)
    errors = [node["error"] for node in dashboard.state()["run"]["nodes"]]
    assert all(error["message"] == "no such column" for error in errors)
    assert sum(bool(error["traceback"]) for error in errors) == 100


def test_a_dashboard_that_cannot_say_where_it_is_is_served_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    with Dashboard.served() as one:
        assert one.state()["run"] is None


def test_what_is_not_there_is_told_as_json(dashboard: Dashboard) -> None:
    assert dashboard.client.get("/nowhere").json() == {"error": "there is nothing at '/nowhere'"}
    answer = dashboard.client.delete("/api/state")
    assert (answer.status_code, answer.json()) == (405, {"error": "DELETE does nothing at '/api/state'"})


def test_the_stream_of_a_run_that_is_forgotten_says_so(dashboard: Dashboard) -> None:
    first = dashboard.run([], {"a": lambda: 1}).run_id
    with dashboard.events(run=first) as events:
        next(events)
        for _ in range(25):
            dashboard.run([], {"a": lambda: 1})
        assert [name for name, _ in events][-1] == "gone"


def test_a_title(dashboard: Dashboard) -> None:
    assert dashboard.state()["title"] == "Dashboard"
    with Dashboard.served(title="nightly") as one:
        assert one.state()["title"] == "nightly"


def test_a_run_that_is_begun_by_hand_ends_the_one_before(dashboard: Dashboard) -> None:
    for _ in range(2):
        dashboard.hooks.fire(HookContext(event=HookEvent.PRE_EXECUTE))
    assert [run["status"] for run in dashboard.state()["runs"]] == ["ended", "running"]


def test_many_runs_at_once(dashboard: Dashboard) -> None:
    failures: list[str] = []

    def go() -> None:
        try:
            for _ in range(3):
                dashboard.run([("a", "b")], {"a": lambda: 1, "b": lambda: 2}, gates=None)
        except BaseException:
            failures.append(traceback.format_exc())

    threads = [threading.Thread(target=go) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    runs = dashboard.state()["runs"]
    assert not failures
    assert {run["status"] for run in runs} == {"succeeded"}
    assert {json.dumps(run["counts"]) for run in runs} == {'{"succeeded": 2}'}


def test_a_run_that_is_cancelled_while_somebody_is_waited_for(dashboard: Dashboard) -> None:
    dag = DAG()
    dag.add_node("review")
    executor = DAGExecutor(dag, hooks=dashboard.hooks, gates=dashboard.gates)
    thread = threading.Thread(target=executor.execute, args=[{"review": lambda: 1}])
    thread.start()
    waiting(dashboard, "review")
    executor.cancel()
    thread.join(10)
    run = dashboard.state()["run"]
    assert statuses(run) == {"review": "cancelled"}
    told = [(entry["event"], entry["message"]) for entry in run["log"] if entry["node"]]
    assert told == [("gate", "waiting"), ("gate", "waits no more"), ("cancelled", "")]
    assert run["nodes"][0]["waited"] is not None
    assert [gate["status"] for gate in dashboard.state()["gates"]] == ["pending"]
