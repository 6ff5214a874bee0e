"""``run_contract_suite``: what it takes, what it gives, and what it says of what it can't use."""

from __future__ import annotations

import json
import os
import pickle
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import dagstack_plugins
from dagstack_plugins import (
    ALL_CHECKS,
    AmbientStateViolation,
    ContractViolation,
    DeterministicRng,
    FrozenClock,
    LeakDetected,
    LifecycleViolation,
    ManifestInvalid,
    NotProven,
    ResourceRegistry,
    SerializationError,
    assert_json_serializable_boundaries,
    assert_lifecycle_clean,
    assert_no_ambient_state,
    assert_resumable,
    run_contract_suite,
)

TOOL = {"name": "tried", "kind": "tool", "runtime": "in_process", "core_version": ">=0.1"}
CALLS = 0


class Echo:
    def execute(self, args: dict[str, Any]) -> dict[str, Any]:
        return {"args": args}


class Counts:
    def execute(self, args: dict[str, Any]) -> dict[str, Any]:
        global CALLS
        CALLS += 1
        return {"calls": CALLS}


class Tuples:
    def execute(self, args: dict[str, Any]) -> Any:
        return (1, 2)


class Leaks:
    def setup(self) -> None:
        self.ends = os.pipe()

    def execute(self, args: dict[str, Any]) -> int:
        return len(self.ends)


class NeedsAPool:
    def setup(self, ctx: Any) -> None:
        self.pool = ctx.resources.pool

    def execute(self, args: dict[str, Any]) -> Any:
        return self.pool["size"]


def write(folder: Path, manifest: str, code: str) -> Path:
    folder.mkdir(parents=True)
    base = f'[plugin]\nname = "{folder.name}"\nkind = "tool"\nruntime = "in_process"\ncore_version = ">=0.1"\n'
    (folder / "dagstack.toml").write_text(base + manifest)
    (folder / "plugin.py").write_text(code)
    return folder


def test_a_plugin_that_keeps_its_contract() -> None:
    result = run_contract_suite(Echo, TOOL)
    assert result.ok, result.format_failures()
    assert result.format_failures() == "nothing failed"
    assert [one.label for one in result][:3] == ["manifest", "ambient_state", "boundaries[get_schema]"]
    assert {one.status for one in result} == {"passed", "not_applicable"}
    assert all(one.reason for one in result if one.status == "not_applicable")
    assert json.loads(json.dumps(result.to_dict()))["ok"] is True


def test_one_that_breaks_it_is_told_with_place_evidence_and_advice() -> None:
    result = run_contract_suite(Counts, TOOL, checks=["ambient_state", "boundaries"])
    [failed] = result.failures
    assert (failed.check, failed.plugin, failed.status) == ("ambient_state", "tool/tried", "failed")
    [found] = failed.violations
    assert isinstance(found, AmbientStateViolation)
    assert (found.invariant, found.kind, found.plugin) == (1, "tool", "tried")
    assert found.file == __file__
    assert Path(found.file).read_text().splitlines()[found.line - 1].strip() == "CALLS += 1"
    assert "keep state in the instance" in found.advice
    told = result.format_failures()
    assert "tool/tried breaks invariant 1, ambient_state: changes 'CALLS'" in told
    assert f"{found.file}:{found.line}" in told
    [as_json] = result.to_dict()["results"][0]["violations"]
    assert (as_json["type"], as_json["line"]) == ("AmbientStateViolation", found.line)


def test_the_tested_class_never_runs_in_this_process() -> None:
    run_contract_suite(Counts, TOOL, checks=["ambient_state", "boundaries", "lifecycle"])
    assert CALLS == 0


def test_each_assertion_raises_its_own_error() -> None:
    assert assert_no_ambient_state(Echo, TOOL).ok
    with pytest.raises(AmbientStateViolation, match="CALLS"):
        assert_no_ambient_state(Counts, TOOL)
    with pytest.raises(SerializationError, match="returns a tuple") as raised:
        assert_json_serializable_boundaries(Tuples, TOOL)
    assert raised.value.evidence["call"] == "registry.get_plugin('tool', 'tried').execute()"
    with pytest.raises(LeakDetected, match="descriptor") as leak:
        assert_lifecycle_clean(Leaks, TOOL)
    assert isinstance(leak.value, LifecycleViolation)
    assert Path(str(leak.value.file)).read_text().splitlines()[leak.value.line - 1].endswith("os.pipe()")
    with pytest.raises(NotProven, match="none saved a checkpoint"):
        assert_resumable(Echo, TOOL | {"unit_of_work": {"declared": True, "checkpointable": True}})


def test_there_is_an_assertion_and_an_error_for_each_check() -> None:
    asserted = [name for name in dir(dagstack_plugins) if name.startswith("assert_")]
    assert len(asserted) == len(ALL_CHECKS) == 12
    for name in asserted:
        assert "Raises" in getattr(dagstack_plugins, name).__doc__


def test_violations_survive_pickling() -> None:
    [found] = run_contract_suite(Counts, TOOL, checks=["ambient_state"]).failures[0].violations
    again = pickle.loads(pickle.dumps(found))
    assert (str(again), again.line, again.plugin) == (str(found), found.line, found.plugin)
    assert isinstance(again, ContractViolation)


def test_what_is_excused_is_not_held_against_it_and_a_needless_excuse_is_told(tmp_path: Path) -> None:
    manifest = TOOL | {"contract": {"excused": {"ambient_state": "counts on purpose", "boundaries": "just in case"}}}
    result = run_contract_suite(Counts, manifest, checks=["ambient_state", "boundaries"])
    assert result.ok
    ambient, _, boundaries = result
    assert (ambient.status, ambient.reason) == ("excused", "counts on purpose")
    assert ambient.violations
    assert boundaries.status == "passed"
    assert "excuse can go" in boundaries.note


def test_a_resource_that_nobody_gave_proves_nothing_and_says_how_to_give_it() -> None:
    manifest = TOOL | {"resources": {"required": ["pool"]}}
    result = run_contract_suite(NeedsAPool, manifest, checks=["manifest", "boundaries"])
    assert [one.status for one in result] == ["passed", "not_proven", "not_proven"]
    assert "requires the resource 'pool', which nobody gave" in result.format_failures()
    given = run_contract_suite(
        NeedsAPool, manifest, resources={"pool": {"size": 3}}, checks=["boundaries", "lifecycle"]
    )
    assert given.ok, given.format_failures()


def test_resources_made_by_a_function_of_the_plugins_folder(tmp_path: Path) -> None:
    needs = '[plugin.resources]\nrequired = ["pool"]\n[plugin.contract.resources]\npool = "fakes:pool"\n'
    code = "class NeedsAPool:\n    def execute(self, args, ctx):\n        return ctx.resources.pool.size\n"
    folder = write(tmp_path / "pooled", needs, code)
    (folder / "fakes.py").write_text("class Pool:\n    size = 4\n\n\ndef pool():\n    return Pool()\n")
    result = run_contract_suite(manifest=folder)
    assert result.ok, result.format_failures()
    (folder / "fakes.py").write_text("def pool():\n    raise OSError('no pool today')\n")
    told = run_contract_suite(manifest=folder, checks=["boundaries", "lifecycle"]).format_failures()
    assert "no pool today" in told
    assert "fakes:pool" in told


def test_resources_of_a_registry_replace_the_parts_for_tests(tmp_path: Path) -> None:
    code = "class Now:\n    def execute(self, args, ctx):\n        return ctx.resources.clock.now().year\n"
    folder = write(tmp_path / "now", '[plugin.resources]\nrequired = ["clock", "rng"]\n', code)
    resources = ResourceRegistry()
    resources.register("clock", FrozenClock())
    resources.register("rng", DeterministicRng(seed=3))
    assert run_contract_suite(manifest=folder, resources=resources, checks=["boundaries", "ambient_state"]).ok
    resources.close()


def test_configuration_comes_from_the_manifest_or_from_the_caller(tmp_path: Path) -> None:
    schema = '[plugin.config_schema]\ntype = "object"\nrequired = ["folder"]\n'
    code = (
        "from pathlib import Path\n\n\nclass Keeps:\n    def setup(self, ctx):\n"
        "        self.file = Path(ctx.config['folder']) / 'kept'\n\n"
        "    def execute(self, args):\n        self.file.write_text('x')\n        return self.file.read_text()\n"
    )
    folder = write(tmp_path / "keeps", schema + '[plugin.contract.config]\nfolder = "${tmpdir}"\n', code)
    result = run_contract_suite(manifest=folder)
    assert result.ok, result.format_failures()
    bare = write(tmp_path / "bare", schema, code)
    told = run_contract_suite(manifest=bare).format_failures()
    assert "'folder' is missing" in told
    assert "[plugin.contract.config]" in told
    mine = tmp_path / "mine"
    mine.mkdir()
    given = run_contract_suite(manifest=bare, config={"folder": str(mine)}, checks=["manifest", "ambient_state"])
    assert given.ok, given.format_failures()
    assert (mine / "kept").exists()


def test_dependencies_are_found_beside_the_plugin(tmp_path: Path) -> None:
    code = (
        "class Asks:\n    def setup(self, ctx):\n        self.ctx = ctx\n\n    def execute(self, args):\n"
        "        return self.ctx.registry.get_plugin('tool', 'answers').execute(args)\n"
    )
    folder = write(tmp_path / "plugins/asks", 'depends_on = ["answers"]\n', code)
    told = run_contract_suite(manifest=folder, checks=["boundaries"]).format_failures()
    assert "it depends on answers, which is not beside it" in told
    code = (
        "class Answers:\n    def setup(self, ctx):\n        self.more = ctx.config['more']\n\n"
        "    def execute(self, args):\n        return len(args) + self.more\n"
    )
    needs = '[plugin.config_schema]\nrequired = ["more"]\n[plugin.contract.config]\nmore = 1\n'
    write(tmp_path / "plugins/answers", needs, code)
    result = run_contract_suite(manifest=folder)
    assert result.ok, result.format_failures()


def test_another_plugin_that_setup_needs_and_does_not_declare_is_told(tmp_path: Path) -> None:
    code = (
        "class Asks:\n    def setup(self, ctx):\n        ctx.registry.get_plugin('tool', 'answers')\n\n"
        "    def execute(self, args):\n        return 1\n"
    )
    folder = write(tmp_path / "plugins/asks", "", code)
    answers = "class Answers:\n    def setup(self, ctx):\n        raise RuntimeError('no database')\n\n"
    write(tmp_path / "plugins/answers", "", answers + "    def execute(self): pass\n")
    told = run_contract_suite(manifest=folder, checks=["manifest", "boundaries", "lifecycle"]).format_failures()
    assert "kind 'tool' has no plugin 'answers'" in told
    assert "depends_on for plugins that it calls" in told
    (folder / "dagstack.toml").write_text((folder / "dagstack.toml").read_text() + 'depends_on = ["answers"]\n')
    told = run_contract_suite(manifest=folder, checks=["manifest", "boundaries", "lifecycle"]).format_failures()
    assert "could not be started" in told
    assert "RuntimeError: no database" in told


def test_an_unknown_kind_is_one_fault_of_the_manifest() -> None:
    result = run_contract_suite(Echo, TOOL | {"kind": "nobody_knows"})
    assert [one.check for one in result if one.status == "failed"] == ["manifest"]
    assert "nobody_knows" in result.format_failures()
    assert not any(one.status == "passed" for one in result)


def test_a_schema_that_nothing_fits_proves_nothing(tmp_path: Path) -> None:
    kind = tmp_path / "kinds/impossible"
    kind.mkdir(parents=True)
    (kind / "v1.yaml").write_text(
        "kind: impossible\nkind_api_version: 1.0.0\nhooks:\n  - name: do\n    dispatch: singleton\n    input_schema:\n"
        "      type: object\n      required: [a]\n      properties: {a: {type: integer, minimum: 3, maximum: 2}}\n"
    )
    plugin = tmp_path / "plugins/never"
    folder = write(plugin, "", "class Never:\n    def do(self, a):\n        return a\n")
    text = (folder / "dagstack.toml").read_text().replace('"tool"', '"impossible"')
    (folder / "dagstack.toml").write_text(text)
    result = run_contract_suite(manifest=folder)  # the kind is found above the plugin
    [boundaries] = [one for one in result if one.check == "boundaries"]
    assert boundaries.status == "not_proven"
    assert "fits the input's schema" in boundaries.reason
    assert "[plugin.contract.examples] do" in boundaries.reason


def test_a_hook_that_raises_on_everything_proves_nothing(tmp_path: Path) -> None:
    code = "class Refuses:\n    def execute(self, args):\n        raise ValueError('not this one')\n"
    result = run_contract_suite(manifest=write(tmp_path / "refuses", "", code))
    proven = {one.check for one in result if one.status == "passed"}
    assert proven == {"manifest", "unit_of_work"}
    assert not any(one.status == "failed" for one in result)
    for one in result.failures:
        assert "ValueError: not this one" in one.reason
        assert "[plugin.contract.examples] execute" in one.reason


@pytest.mark.parametrize(
    ("given", "error", "told"),
    [
        ({"plugin_class": Echo}, TypeError, "which plugin"),
        ({"manifest": TOOL}, TypeError, "comes from no folder: give the class"),
        ({"plugin_class": Echo(), "manifest": TOOL}, TypeError, "plugin_class is a class"),
        ({"plugin_class": Echo, "manifest": TOOL, "checks": ["boundary"]}, ValueError, r"did you mean 'boundaries'"),
        ({"plugin_class": Echo, "manifest": TOOL, "checks": "boundaries"}, TypeError, r"\['boundaries'\], not"),
        ({"plugin_class": Echo, "manifest": TOOL, "timeout": 0}, ValueError, "timeout is a number of seconds above 0"),
        ({"plugin_class": Echo, "manifest": TOOL, "hookspecs": "kinds"}, TypeError, r"\['kinds'\], not"),
        ({"plugin_class": Echo, "manifest": TOOL, "resources": {"x": lambda: 1}}, TypeError, "contract.resources"),
        ({"plugin_class": Echo, "manifest": {"name": "x"}}, ManifestInvalid, "core_version"),
        ({"manifest": "nowhere/at/all"}, FileNotFoundError, "nowhere"),
        ({"plugin_class": Echo, "manifest": TOOL, "examples": 0}, ValueError, "examples is a whole number, 1 or more"),
    ],
)
def test_what_it_cannot_use_is_said_at_once(given: dict[str, Any], error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        run_contract_suite(**given)


def test_a_class_inside_a_function_cannot_be_loaded_elsewhere() -> None:
    class Inside:
        def execute(self, args: Any) -> Any:
            return args

    with pytest.raises(TypeError, match="define it at the top of a module"):
        run_contract_suite(Inside, TOOL)


def test_a_class_of_the_program_itself(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "from dagstack_plugins import run_contract_suite\n\n\n"
        "class Echo:\n    def execute(self, args):\n        return args\n\n\n"
        f"if __name__ == '__main__':\n    manifest = {TOOL!r}\n"
        "    result = run_contract_suite(Echo, manifest, checks=['boundaries', 'lifecycle'])\n"
        "    assert result.ok, result.format_failures()\n    print('fine')\n"
    )
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("fine\n", "")


def test_the_same_seed_gives_the_same_inputs(tmp_path: Path) -> None:
    code = "class Odd:\n    def execute(self, args):\n        return {1: 2} if len(str(args)) > 40 else None\n"
    folder = write(tmp_path / "odd", "", code)
    told = {run_contract_suite(manifest=folder, checks=["boundaries"], seed=7).format_failures() for _ in range(3)}
    assert len(told) == 1


PROMISES = '[plugin.resources]\nrequired = ["clock", "rng"]\n[plugin.unit_of_work]\ndeclared = true\n'


def test_the_order_of_a_small_set_is_found(tmp_path: Path) -> None:
    code = "class Two:\n    def execute(self, args):\n        return list({'red', 'blue'})\n"
    folder = write(tmp_path / "two", f'{PROMISES}idempotency_mode = "output_hash"\n', code)
    result = run_contract_suite(manifest=folder, checks=["determinism"])
    assert not result.ok


def test_no_check_reaches_the_network(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        code = (
            "import socket\n\n\nclass Calls:\n    def execute(self, args):\n"
            f"        socket.create_connection(('127.0.0.1', {server.getsockname()[1]}), 1).close()\n        return 1\n"
        )
        result = run_contract_suite(manifest=write(tmp_path / "calls", "", code))
        with pytest.raises(TimeoutError):
            server.accept()
    assert [one.check for one in result if one.status == "failed"] == ["resources"]


def test_a_resource_that_is_lent_may_reach_it(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        needs = '[plugin.resources]\nrequired = ["door"]\n[plugin.contract.resources]\ndoor = "fakes:Door"\n'
        code = "class Knocks:\n    def execute(self, args, ctx):\n        return ctx.resources.door.knock()\n"
        folder = write(tmp_path / "knocks", needs, code)
        (folder / "fakes.py").write_text(
            "import socket\n\n\nclass Door:\n    def knock(self):\n"
            f"        socket.create_connection(('127.0.0.1', {server.getsockname()[1]}), 1).close()\n"
            "        return 'open'\n"
        )
        result = run_contract_suite(manifest=folder, checks=["resources", "boundaries"])
        assert result.ok, result.format_failures()


def test_code_of_many_small_steps_is_not_taken_for_slow(tmp_path: Path) -> None:
    code = "class Sums:\n    def execute(self, args):\n        return sum(one * one for one in range(500_000))\n"
    for model in ("sync", "async"):
        made = code if model == "sync" else code.replace("def", "async def")
        folder = write(tmp_path / model, f'execution_model = "{model}"\n', made)
        result = run_contract_suite(manifest=folder, checks=["execution_model", "ambient_state", "resources"])
        assert result.ok, result.format_failures()


def test_calls_that_wait_for_each_other_in_threads_are_not_taken_for_a_hang(tmp_path: Path) -> None:
    """Eight threads at once take longer than one alone, so the time that is left says how often they are tried."""
    code = """
import threading, time
class Serial:
    def __init__(self):
        self.lock = threading.Lock()
    def execute(self, args):
        with self.lock:
            time.sleep(0.05)
            return args
"""
    folder = write(tmp_path / "serial", 'execution_model = "thread_cpu_bound"\n', code)
    [result] = run_contract_suite(manifest=folder, checks=["execution_model"], timeout=6)
    assert result.status == "passed", result.reason


def test_a_folder_behind_a_link(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path\n\n\nclass Reads:\n    def execute(self, args):\n"
        "        return Path(__file__).with_name('words.txt').read_text()\n"
    )
    folder = write(tmp_path / "reads", "", code)
    (folder / "words.txt").write_text("word")
    (tmp_path / "link").symlink_to("reads")
    for place in (tmp_path / "link", tmp_path / "reads" / ".." / "reads"):
        result = run_contract_suite(manifest=place, checks=["ambient_state"])
        assert result.ok, result.format_failures()


def test_an_interrupted_suite_leaves_the_next_one_alone(tmp_path: Path) -> None:
    folder = write(tmp_path / "echo", "", "class Echo:\n    def execute(self, args):\n        return 1\n")
    slow = write(
        tmp_path / "slow", "", "import time\n\n\nclass Slow:\n    def execute(self, args):\n        time.sleep(9)\n"
    )
    interrupted = False

    class Enough(Exception):
        pass

    def interrupt(*_: object) -> None:
        raise Enough

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 2)
    try:
        run_contract_suite(manifest=slow, checks=["boundaries"])
    except Enough:
        interrupted = True
    finally:
        signal.signal(signal.SIGALRM, before)
    assert interrupted
    assert run_contract_suite(manifest=folder, checks=["boundaries"]).ok


def test_several_threads_may_ask_at_once(tmp_path: Path) -> None:
    folder = write(tmp_path / "echo", "", "class Echo:\n    def execute(self, args):\n        return 1\n")
    with ThreadPoolExecutor(3) as threads:
        results = list(threads.map(lambda _: run_contract_suite(manifest=folder, checks=["boundaries"]), range(3)))
    assert all(result.ok for result in results)


def test_modules_beside_the_program_are_not_taken_for_pythons(tmp_path: Path) -> None:
    folder = write(tmp_path / "plugins/echo", "", "class Echo:\n    def execute(self, args):\n        return 1\n")
    (tmp_path / "json.py").write_text("raise SystemExit('not this json')\n")
    code = "import sys; sys.path[:1] = []; from dagstack_plugins import run_contract_suite as run; "
    code += f"assert run(manifest={str(folder)!r}, checks=['boundaries']).ok"
    done = subprocess.run([sys.executable, "-P", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_plugin_that_wants_a_new_process_for_each_start(tmp_path: Path) -> None:
    code = (
        "class Once:\n    used = False\n\n"
        "    def setup(self):\n        assert not self.used\n        self.used = True\n\n"
        "    def execute(self, args):\n        return self.used\n\n    def teardown(self):\n        return False\n"
    )
    result = run_contract_suite(manifest=write(tmp_path / "once", "", code))
    assert result.ok, result.format_failures()


def test_the_working_directory_is_not_listed_unseen(tmp_path: Path) -> None:
    code = "import os\n\n\nclass Lists:\n    def execute(self, args):\n        return len(os.listdir())\n"
    told = run_contract_suite(manifest=write(tmp_path / "lists", "", code), checks=["ambient_state"]).format_failures()
    assert "os.listdir" in told
    assert "plugin.py:6" in told


class Steps:
    """Goes on from its checkpoints, and tells what it takes."""

    def get_schema(self) -> dict[str, Any]:
        return {
            "type": "object",
            "properties": {"rows": {"type": "integer", "minimum": 1, "maximum": 3}},
            "required": ["rows"],
        }

    def execute(self, args: dict[str, Any], ctx: Any) -> list[int]:
        done, _ = ctx.checkpoint.load("done")
        done = done or []
        for row in range(len(done), args["rows"]):
            done.append(row)
            ctx.checkpoint.save("done", done)
        return done  # type: ignore[no-any-return]


def test_what_describes_inputs_has_nothing_to_go_on_with() -> None:
    manifest = {**TOOL, "unit_of_work": {"declared": True, "checkpointable": True}}
    result = run_contract_suite(Steps, manifest, checks=["resume"])
    assert result.ok, result.format_failures()
    assert [one.label for one in result] == ["resume[execute]"]
