"""Images as files, for `ctr images import`."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from halab.errors import Corrupted
from halab.images.cache import Architecture
from halab.images.image_tar import Contents, extract, write_image

NAME = "registry.k8s.io/coredns/coredns:v1.14.6"


class Layout:
    """The content of an image tar."""

    def __init__(self, path: Path) -> None:
        with tarfile.open(path) as archive:
            self.files = {member.name: archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]
        self.index = self._json("index.json")
        self.manifest = json.loads(self.blob(self.index["manifests"][0]["digest"]))
        self.config = json.loads(self.blob(self.manifest["config"]["digest"]))

    def _json(self, name: str) -> Any:
        return json.loads(self.files[name])

    def blob(self, digest: str) -> bytes:
        return self.files["blobs/" + digest.replace(":", "/")]

    def layer(self, number: int) -> tarfile.TarFile:
        return tarfile.open(fileobj=io.BytesIO(self.blob(self.manifest["layers"][number]["digest"])))


def program(folder: Path, name: str, content: str = "program") -> Path:
    path = folder / name
    path.write_text(content)
    return path


def test_an_image_has_its_full_name_and_architecture(tmp_path: Path) -> None:
    binary = program(tmp_path, "coredns")
    write_image(tmp_path / "x.tar", NAME, Architecture.ARM64, Contents({"/coredns": binary}, ["/coredns"]))
    layout = Layout(tmp_path / "x.tar")
    described = layout.index["manifests"][0]
    assert described["annotations"]["io.containerd.image.name"] == NAME
    assert described["annotations"]["org.opencontainers.image.ref.name"] == "v1.14.6"
    assert described["platform"] == {"architecture": "arm64", "os": "linux"}
    assert layout.config["architecture"] == "arm64"
    assert layout.config["config"]["Entrypoint"] == ["/coredns"]


def test_every_blob_is_named_by_its_digest(tmp_path: Path) -> None:
    binary = program(tmp_path, "coredns")
    write_image(tmp_path / "x.tar", NAME, Architecture.AMD64, Contents({"/coredns": binary}))
    layout = Layout(tmp_path / "x.tar")
    blobs = {name.rpartition("/")[2]: content for name, content in layout.files.items() if "sha256" in name}
    assert len(blobs) == 3
    assert all(hashlib.sha256(content).hexdigest() == name for name, content in blobs.items())


def test_all_users_may_run_programs_and_there_is_a_folder_for_temporary_files(
    tmp_path: Path,
) -> None:
    binary = program(tmp_path, "etcd")
    write_image(tmp_path / "x.tar", NAME, Architecture.AMD64, Contents({"/usr/local/bin/etcd": binary}))
    with Layout(tmp_path / "x.tar").layer(0) as layer:
        modes = {member.name: oct(member.mode) for member in layer}
    assert modes == {
        "usr": "0o755",
        "usr/local": "0o755",
        "usr/local/bin": "0o755",
        "tmp": "0o1777",
        "usr/local/bin/etcd": "0o755",
    }


def test_a_base_layer_is_below_the_programs(tmp_path: Path) -> None:
    base = tmp_path / "base.tar"
    with tarfile.open(base, "w") as archive:
        archive.add(program(tmp_path, "nft"), "usr/sbin/nft")
    contents = Contents({"/usr/local/bin/kube-proxy": program(tmp_path, "kube-proxy")}, base=base)
    write_image(tmp_path / "x.tar", NAME, Architecture.AMD64, contents)
    layout = Layout(tmp_path / "x.tar")
    assert layout.blob(layout.manifest["layers"][0]["digest"]) == base.read_bytes()
    assert layout.config["rootfs"]["diff_ids"] == [entry["digest"] for entry in layout.manifest["layers"]]


def test_the_same_contents_give_the_same_bytes(tmp_path: Path) -> None:
    for number in (1, 2):
        binary = program(tmp_path, f"etcd{number}")
        contents = Contents({"/usr/local/bin/etcd": binary})
        write_image(tmp_path / f"{number}.tar", NAME, Architecture.AMD64, contents)
    assert (tmp_path / "1.tar").read_bytes() == (tmp_path / "2.tar").read_bytes()


def test_a_program_is_extracted_from_an_image(tmp_path: Path) -> None:
    base = tmp_path / "base.tar"
    with tarfile.open(base, "w") as archive:
        archive.add(program(tmp_path, "lower", "lower"), "bin/etcdctl")
    contents = Contents({"/usr/local/bin/etcdctl": program(tmp_path, "upper", "upper")}, base=base)
    write_image(tmp_path / "x.tar", NAME, Architecture.AMD64, contents)
    extract(tmp_path / "x.tar", "etcdctl", tmp_path / "out")
    assert (tmp_path / "out").read_text() == "upper"


def test_an_image_without_the_program_is_corrupted(tmp_path: Path) -> None:
    contents = Contents({"/coredns": program(tmp_path, "coredns")})
    write_image(tmp_path / "x.tar", NAME, Architecture.AMD64, contents)
    with pytest.raises(Corrupted, match="etcdctl is missing from the image"):
        extract(tmp_path / "x.tar", "etcdctl", tmp_path / "out")
