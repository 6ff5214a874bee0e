from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dagstack_plugins import DirectoryResource, PluginContext, PluginRegistry, ScopedTempDir, TeardownErrors, TempDir

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def tmpdir() -> Iterator[ScopedTempDir]:
    made = ScopedTempDir()
    yield made
    made.close()


def test_it_is_a_fresh_empty_folder(tmpdir: ScopedTempDir) -> None:
    assert isinstance(tmpdir, TempDir)
    assert tmpdir.path.is_dir()
    assert tmpdir.path == tmpdir.path.resolve()
    assert list(tmpdir.path.iterdir()) == []


def test_files_and_folders_are_made_in_it(tmpdir: ScopedTempDir) -> None:
    file, folder = tmpdir.create_file("page", suffix=".txt"), tmpdir.create_subdir("pages")
    assert file == tmpdir.path / "page.txt"
    assert file.read_bytes() == b""
    assert folder == tmpdir.path / "pages"
    assert list(folder.iterdir()) == []


def test_a_name_that_is_taken_is_refused(tmpdir: ScopedTempDir) -> None:
    tmpdir.create_file("a").write_text("kept")
    for again in (tmpdir.create_file, tmpdir.create_subdir):
        with pytest.raises(FileExistsError):
            again("a")
    assert (tmpdir.path / "a").read_text() == "kept"


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "/etc", "a\\b", "..\\x", "C:x", "a\x00"])
def test_no_name_leads_out_of_it(tmpdir: ScopedTempDir, name: str) -> None:
    for make in (tmpdir.create_file, tmpdir.create_subdir):
        with pytest.raises(ValueError, match="one segment"):
            make(name)
    with pytest.raises(ValueError, match="one segment"):
        tmpdir.create_file("a", suffix="/../../x")
    with pytest.raises(ValueError, match="one segment"):
        tmpdir.create_file(".", suffix=".")


@pytest.mark.skipif(sys.platform == "win32", reason="symbolic links need a privilege on Windows")
def test_a_link_does_not_lead_out_of_it(tmpdir: ScopedTempDir, tmp_path: Path) -> None:
    (tmpdir.path / "link").symlink_to(tmp_path / "outside")
    with pytest.raises(FileExistsError):
        tmpdir.create_file("link")
    assert not (tmp_path / "outside").exists()


def test_closing_removes_it_and_does_no_harm_twice() -> None:
    tmpdir = ScopedTempDir()
    (tmpdir.create_subdir("a") / "deep.txt").write_text("x")
    tmpdir.close()
    assert not tmpdir.path.exists()
    tmpdir.close()
    with pytest.raises(RuntimeError, match="is closed"):
        tmpdir.create_file("a")


def test_closing_is_fine_when_somebody_removed_it_already() -> None:
    tmpdir = ScopedTempDir()
    tmpdir.path.rmdir()
    tmpdir.close()


def locked_tree(path: Path) -> None:
    inner = path / "locked" / "inner"
    inner.mkdir(parents=True)
    (inner / "file").write_text("x")
    (inner / "file").chmod(0o400)
    inner.chmod(0o000)
    inner.parent.chmod(0o500)


def test_closing_removes_what_is_read_only() -> None:
    tmpdir = ScopedTempDir()
    locked_tree(tmpdir.path)
    tmpdir.path.chmod(0o500)
    tmpdir.close()
    assert not tmpdir.path.exists()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root, to become somebody else")
def test_closing_removes_what_is_read_only_for_those_who_may_not_do_all() -> None:
    program = (
        "import os, shutil, tempfile\n"
        "from dagstack_plugins import ScopedTempDir\n"
        "os.setuid(65534)  # after the imports, as somebody else may not read them\n"
        "tmpdir = ScopedTempDir()\n"
        "inner = tmpdir.path / 'locked' / 'inner'\n"
        "inner.mkdir(parents=True); (inner / 'file').touch(); (tmpdir.path / 'link').symlink_to('/')\n"
        "inner.chmod(0); inner.parent.chmod(0o500); tmpdir.path.chmod(0o500)\n"
        "tmpdir.close(); print(tmpdir.path.exists())"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("False", "")


@pytest.mark.skipif(sys.platform == "win32", reason="symbolic links need a privilege on Windows")
def test_closing_leaves_what_links_point_to(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("kept")
    (tmp_path / "mine").chmod(0o500)
    tmpdir = ScopedTempDir()
    (tmpdir.path / "link").symlink_to(tmp_path / "mine")
    locked_tree(tmpdir.path)
    tmpdir.close()
    assert (tmp_path / "mine" / "file").read_text() == "kept"
    assert (tmp_path / "mine").stat().st_mode & 0o777 == 0o500
    (tmp_path / "mine").chmod(0o700)


def test_dropped_unclosed_it_is_removed_with_a_warning() -> None:
    tmpdir = ScopedTempDir()
    path = tmpdir.path
    with pytest.warns(ResourceWarning, match="dropped unclosed"):
        del tmpdir
    assert not path.exists()


def test_the_end_of_the_process_removes_it() -> None:
    program = "from dagstack_plugins import ScopedTempDir as T; kept = T(); print(kept.path)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip()
    assert not Path(done.stdout.strip()).exists()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs POSIX fork")
def test_a_forked_child_leaves_its_parents_folder_alone() -> None:
    program = (
        "import os, sys\n"
        "from dagstack_plugins import ScopedTempDir\n"
        "tmpdir = ScopedTempDir()\n"
        "child = os.fork()\n"
        "if not child: sys.exit()\n"
        "os.waitpid(child, 0); print(tmpdir.path.exists()); tmpdir.close()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"


def test_a_directory_of_the_hosts_stays_with_all_that_is_in_it(tmp_path: Path) -> None:
    data = DirectoryResource(tmp_path / "deep" / "data")
    data.create_file("model", suffix=".bin").write_bytes(b"1")
    data.create_subdir("cache")
    assert isinstance(data, TempDir)
    del data
    again = DirectoryResource(tmp_path / "deep" / "data")
    assert sorted(path.name for path in again.path.iterdir()) == ["cache", "model.bin"]
    with pytest.raises(FileExistsError):
        again.create_file("model", suffix=".bin")


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "/x", "a\\b", "c:x", "a\x00"])
def test_no_name_leads_out_of_a_directory(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="is not a name in the folder"):
        DirectoryResource(tmp_path).create_file(name)


def test_a_directory_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match=r"file is a file: DirectoryResource lends a folder"):
        DirectoryResource(tmp_path / "file")
    with pytest.raises(NotADirectoryError):
        DirectoryResource(tmp_path / "file" / "below")


def test_the_home_folder_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert DirectoryResource("~/data").path == (tmp_path / "data").resolve()


KEEPER = {
    "name": "keeper",
    "kind": "tool",
    "runtime": "in_process",
    "core_version": ">=0.1",
    "teardown_timeout_sec": 0.2,
    "resources": {"required": ["tmpdir"]},
}


@pytest.mark.parametrize("how", ["fails", "exits", "overruns", "overruns in a thread"])
async def test_a_plugins_folder_goes_after_its_teardown_however_that_ends(how: str) -> None:
    go_on = threading.Event()

    class Keeper:
        def setup(self, ctx: Any) -> None:
            self.file = ctx.resources.tmpdir.create_file("kept")

        def execute(self, args: Any) -> str:
            return str(self.file)

        async def teardown(self) -> None:
            assert self.file.exists()
            if how == "fails":
                raise RuntimeError("oops")
            if how == "exits":
                raise SystemExit(3)
            await asyncio.sleep(60)

    class Blocks(Keeper):
        def teardown(self) -> None:  # type: ignore[override]
            go_on.wait(20)

    registry = PluginRegistry()
    registry.register(Blocks if how == "overruns in a thread" else Keeper, KEEPER)
    await registry.setup_all(PluginContext())
    file = Path(registry.get_plugin("tool", "keeper").execute())
    assert file.exists()
    with pytest.raises(TeardownErrors):
        await registry.teardown_all()
    go_on.set()
    assert not file.parent.exists()
    registry.resource_registry.close()
