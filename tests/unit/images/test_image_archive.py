"""Image archives of the user's own: which images they have, and which archives are refused."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from halab.errors import BadUsage
from halab.images import image_archive, image_tar
from halab.images.cache import Architecture


def tar(path: Path, files: dict[str, Any]) -> None:
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def docker_tar(path: Path, *tags: str) -> None:
    manifest = [{"Config": "c.json", "Layers": ["l/layer.tar"], "RepoTags": list(tags) or None}]
    tar(path, {"manifest.json": manifest, "c.json": {}, "l/layer.tar": b""})


def test_an_oci_layout_has_the_names_that_containerd_annotates(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("x")
    image_tar.write_image(
        tmp_path / "a.tar",
        "shop.example/web:1",
        Architecture.AMD64,
        image_tar.Contents({"/program": program}),
    )
    archive = image_archive.read(tmp_path, "a.tar")
    assert (archive.name, archive.images) == ("a.tar", ("shop.example/web:1",))
    assert image_archive.from_json(image_archive.to_json([archive])) == (archive,)


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("nginx:1.27", "docker.io/library/nginx:1.27"),
        ("ada/web:2", "docker.io/ada/web:2"),
        ("localhost/web:2", "localhost/web:2"),
        ("registry:5000/web:2", "registry:5000/web:2"),
        ("shop.example/a/web:2", "shop.example/a/web:2"),
    ],
)
def test_a_tar_of_docker_has_full_names(tmp_path: Path, tag: str, expected: str) -> None:
    docker_tar(tmp_path / "a.tar", tag)
    assert image_archive.read(tmp_path, "a.tar").images == (expected,)


def refusal(folder: Path) -> str:
    with pytest.raises(BadUsage) as caught:
        image_archive.read(folder, "a.tar")
    return f"{caught.value.message}\n{caught.value.hint}"


def test_a_compressed_tar_is_refused_with_the_command_that_unpacks_it(tmp_path: Path) -> None:
    docker_tar(tmp_path / "b.tar", "web:1")
    (tmp_path / "a.tar").write_bytes(gzip.compress((tmp_path / "b.tar").read_bytes()))
    assert "a.tar is compressed" in refusal(tmp_path)
    assert "run `gunzip` on a.tar" in refusal(tmp_path)


def test_an_image_without_a_name_is_refused(tmp_path: Path) -> None:
    docker_tar(tmp_path / "a.tar")
    assert "no image in a.tar has a name" in refusal(tmp_path)


def test_an_incomplete_tar_is_refused(tmp_path: Path) -> None:
    tar(tmp_path / "a.tar", {"manifest.json": [{"Config": "c.json", "Layers": [], "RepoTags": ["web:1"]}]})
    assert "a.tar is incomplete: it lacks c.json" in refusal(tmp_path)
    docker_tar(tmp_path / "a.tar", "web:1")
    (tmp_path / "a.tar").write_bytes((tmp_path / "a.tar").read_bytes()[:700])
    assert "a.tar" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "a.tar"),
        (b"not a tar" * 100, "a.tar is not a tar file"),
    ],
)
def test_what_is_no_tar_is_refused(tmp_path: Path, content: bytes, what: str) -> None:
    (tmp_path / "a.tar").write_bytes(content)
    assert what in refusal(tmp_path)


def test_a_tar_of_other_files_is_refused(tmp_path: Path) -> None:
    tar(tmp_path / "a.tar", {"README.md": b"hello"})
    assert "a.tar has no images" in refusal(tmp_path)
    tar(tmp_path / "a.tar", {"manifest.json": b"{"})
    assert "manifest.json in" in refusal(tmp_path)


def test_a_name_of_an_image_is_refused_with_the_command_that_saves_it(tmp_path: Path) -> None:
    with pytest.raises(BadUsage) as caught:
        image_archive.read(tmp_path, "nginx:1.27")
    assert caught.value.message == f"no such file: {tmp_path}/nginx:1.27"
    assert "docker save NAME:TAG >FILE.tar" in str(caught.value.hint)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    assert "no such file" in refusal(tmp_path)
    (tmp_path / "a.tar").mkdir()
    assert "a folder, not a file" in refusal(tmp_path)
