"""An archive has all of a run but its secrets, gives the same verdict, and is refused if it was changed."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from support.recorded_runs import copy_run

from halab.archive import archive
from halab.errors import BadUsage, Corrupted, HalabError, HostProblem
from halab.report.render import render
from halab.scenario.record.folder import RunFolder

SECRET = "abcdef.0123456789abcdef"
Entries = dict[str, bytes]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    folder = copy_run("stop-apiserver-haproxy", tmp_path / "stopped")
    folder.logs.mkdir()
    (folder.logs / "cp1.log").write_bytes(f"kubeadm join --token {SECRET}\n".encode() + b"\xff\n")
    render(folder)
    return folder


def entries_of(path: Path) -> Entries:
    with tarfile.open(path) as tar:
        return {entry.name: tar.extractfile(entry).read() for entry in tar}  # type: ignore[union-attr]


def write(path: Path, entries: Entries) -> Path:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, content in entries.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    path.write_bytes(gzip.compress(stream.getvalue()))
    return path


def test_an_unpacked_run_is_judged_as_before(run: RunFolder) -> None:
    packed = archive.pack(run)
    assert packed.path == Path("stopped.tar.gz")
    assert packed.contents.verdict == "pass"
    unpacked, contents = archive.unpack(packed.path)
    assert contents == packed.contents
    assert unpacked.path == Path("stopped")
    before = json.loads(run.result.read_text())
    assert json.loads(render(unpacked).to_json()) == before
    assert unpacked.samples.read_bytes() == run.samples.read_bytes()


def test_an_archive_has_no_secret(run: RunFolder) -> None:
    packed = archive.pack(run)
    assert packed.contents.removed == {"logs/cp1.log": 1}
    entries = entries_of(packed.path)
    assert not [name for name, content in entries.items() if SECRET.encode() in content]
    # what is no text stays
    assert entries["stopped/logs/cp1.log"].endswith(b"\xff\n")


def test_the_same_run_gives_the_same_file(run: RunFolder, tmp_path: Path) -> None:
    one, other = archive.pack(run, tmp_path / "a.tar.gz"), archive.pack(run, tmp_path / "b.tar.gz")
    assert one.path.read_bytes() == other.path.read_bytes()


def test_links_are_not_packed(run: RunFolder) -> None:
    (run.path / "passwd").symlink_to("/etc/passwd")
    assert "passwd" not in archive.pack(run).contents.files


def test_a_run_without_a_result_has_no_verdict(run: RunFolder) -> None:
    run.result.unlink()
    assert archive.pack(run).contents.verdict is None


def test_a_file_is_not_overwritten(run: RunFolder) -> None:
    Path("stopped.tar.gz").write_text("mine")
    with pytest.raises(BadUsage, match="the file exists"):
        archive.pack(run)
    assert Path("stopped.tar.gz").read_text() == "mine"


def test_an_archive_in_a_folder_that_does_not_exist_is_refused_with_its_path(run: RunFolder) -> None:
    with pytest.raises(HostProblem, match="cannot write none/stopped.tar.gz: No such file or directory"):
        archive.pack(run, Path("none/stopped.tar.gz"))


def test_unpacking_twice_uses_the_folder_as_it_is(run: RunFolder) -> None:
    packed = archive.pack(run)
    unpacked, _ = archive.unpack(packed.path)
    (unpacked.path / archive.AGAIN).mkdir()
    assert archive.unpack(packed.path)[0] == unpacked
    assert (unpacked.path / archive.AGAIN).exists()
    # and what was added is not part of the run
    assert (
        archive.pack(unpacked, Path("second.tar.gz")).contents.files.keys() == packed.contents.files.keys()
    )


def test_a_folder_with_other_files_is_refused(run: RunFolder) -> None:
    packed = archive.pack(run)
    Path("stopped").mkdir()
    (Path("stopped") / "mine").touch()
    with pytest.raises(BadUsage, match="the folder is not empty"):
        archive.unpack(packed.path)
    assert archive.unpack(packed.path, Path("other/place"))[0].path == Path("other/place")
    assert sorted(path.name for path in Path("other").iterdir()) == ["place"]


def changed(entries: Entries) -> None:
    entries["stopped/meta.json"] += b" "


def missing(entries: Entries) -> None:
    del entries["stopped/samples.jsonl"]


def added(entries: Entries) -> None:
    entries["stopped/more"] = b""


def outside(entries: Entries) -> None:
    entries["stopped/../../more"] = b""


def absolute(entries: Entries) -> None:
    entries["/stopped/more"] = b""


def unlisted(entries: Entries) -> None:
    del entries["stopped/archive.json"]


def unreadable(entries: Entries) -> None:
    entries["stopped/archive.json"] = b"[]"


def of_the_future(entries: Entries) -> None:
    entries["stopped/archive.json"] = entries["stopped/archive.json"].replace(b'"schema": 1', b'"schema": 2')


def misnamed(entries: Entries) -> None:
    entries["stopped/archive.json"] = entries["stopped/archive.json"].replace(b'"stopped"', b'"../stopped"')


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (changed, "meta.json was changed"),
        (missing, "samples.jsonl is missing"),
        (added, "more was added"),
        (outside, "has the entry stopped/../../more"),
        (absolute, "has the entry /stopped/more"),
        (unlisted, "has no archive.json"),
        (unreadable, "archive.json in .* cannot be read"),
        (of_the_future, "made by another version of halab"),
        (misnamed, "is not the name of a folder"),
    ],
)
def test_a_changed_archive_is_refused_and_nothing_is_written(
    spoil: Callable[[Entries], None], said: str, run: RunFolder
) -> None:
    entries = entries_of(archive.pack(run).path)
    spoil(entries)
    spoiled = write(Path("spoiled.tar.gz"), entries)
    with pytest.raises(Corrupted, match=said):
        archive.unpack(spoiled)
    assert sorted(path.name for path in Path().iterdir()) == ["spoiled.tar.gz", "stopped.tar.gz"]


def test_an_archive_with_too_many_files_is_refused_with_the_limits(run: RunFolder) -> None:
    entries = entries_of(archive.pack(run).path)
    entries |= {f"stopped/logs/{number}": b"" for number in range(5000)}
    large = write(Path("large.tar.gz"), entries)
    with pytest.raises(Corrupted, match="large.tar.gz is larger than .*: at most 5000 files and 1 GB"):
        archive.unpack(large)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"no archive", id="text"),
        # Compressed data holds the time: without a name of its own, the test has another name in each worker.
        pytest.param(gzip.compress(b"no tar"), id="compressed text"),
    ],
)
def test_a_file_that_is_no_archive_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.tar.gz").write_bytes(content)
    with pytest.raises(Corrupted, match="not an archive of `halab pack`"):
        archive.unpack(tmp_path / "x.tar.gz")


def test_an_archive_that_was_cut_off_is_refused(run: RunFolder) -> None:
    packed = archive.pack(run).path
    packed.write_bytes(packed.read_bytes()[:-100])
    with pytest.raises(Corrupted):
        archive.unpack(packed)


def test_a_link_in_an_archive_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar.gz", "w:gz") as tar:
        link = tarfile.TarInfo("run/link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    with pytest.raises(Corrupted, match="run/link"):
        archive.unpack(tmp_path / "x.tar.gz")


@pytest.mark.parametrize("name", ["nowhere.tar.gz", "."])
def test_a_file_that_cannot_be_read_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(HalabError, match="no such file|a folder"):
        archive.unpack(tmp_path / name)
