"""Boxes of libvirt: what a recipe has for every provider, and what is known before a box is built."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from halab import data
from halab.config import box as recipes
from halab.config.box import Recipe
from halab.config.lab import ProviderKind
from halab.config.loading import load
from halab.errors import BadFile, HalabError, HostProblem
from halab.images import box, disk
from halab.images.cache import Architecture, folder

DEBIAN = recipes.recipe("debian-12")


def written(folder: Path, libvirt: str) -> Path:
    path = folder / "other.yml"
    path.write_text(f"suite: bookworm\npackages: [sudo]\nlibvirt:\n  {libvirt}\n")
    return path


def test_a_virtual_machine_has_the_services_of_hardware() -> None:
    masked = DEBIAN.for_provider(ProviderKind.LIBVIRT).mask
    assert not {"systemd-udevd.service", "systemd-logind.service", "getty.target"} & set(masked)


def test_a_container_has_no_services_of_hardware() -> None:
    masked = DEBIAN.for_provider(ProviderKind.DOCKER).mask
    assert {"systemd-udevd.service", "systemd-logind.service", "getty.target"} <= set(masked)


def test_neither_provider_updates_packages_by_itself() -> None:
    for provider in (ProviderKind.DOCKER, ProviderKind.LIBVIRT):
        assert {"apt-daily.timer", "e2scrub_reap.service"} <= set(DEBIAN.for_provider(provider).mask)


def test_a_virtual_machine_has_the_packages_of_a_container_and_more() -> None:
    container, machine = (DEBIAN.for_provider(each) for each in (ProviderKind.DOCKER, ProviderKind.LIBVIRT))
    assert container.packages == DEBIAN.packages
    assert set(container.packages) < set(machine.packages)
    assert set(container.enable) < set(machine.enable)


def test_a_recipe_need_not_have_a_disk(tmp_path: Path) -> None:
    assert load(written(tmp_path, "packages: [udev]"), Recipe).libvirt.disk == 20


def test_the_disk_is_in_gibibytes(tmp_path: Path) -> None:
    assert load(written(tmp_path, "disk: 8G"), Recipe).libvirt.disk == 8


@pytest.mark.parametrize("size", ["8", "8192M", "0G", "-8G", "2G", "8 G", "99999G"])
def test_an_impossible_disk_is_reported_with_its_line(tmp_path: Path, size: str) -> None:
    with pytest.raises(BadFile, match=r"other\.yml:4: libvirt\.disk: "):
        load(written(tmp_path, f"disk: {size}"), Recipe)


def test_the_kernel_is_for_the_architecture_and_has_a_boot_loader() -> None:
    assert disk.boot_packages(Architecture.AMD64) == ("linux-image-cloud-amd64", "grub-pc-bin")


def test_an_architecture_without_a_boot_loader_is_a_problem_of_the_host() -> None:
    with pytest.raises(HostProblem, match="arm64") as caught:
        disk.boot_packages(Architecture.ARM64)
    assert caught.value.hint and "--provider docker" in caught.value.hint


def test_a_missing_tool_is_reported_with_the_packages_of_all_tools(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HostProblem, match="not found: ") as caught:
        disk.require_tools()
    assert caught.value.hint and "fdisk e2fsprogs qemu-utils" in caught.value.hint


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A root file system with the two parts of GRUB."""
    tree = tmp_path / "tree"
    for part in ("usr/lib/grub/i386-pc", "boot/grub"):
        (tree / part).mkdir(parents=True)
    (tree / "usr/lib/grub/i386-pc/boot.img").write_bytes(b"B" * 512)
    (tree / "boot/grub/core.img").write_bytes(b"C" * 3000)
    return tree


def test_the_boot_loader_goes_around_the_partition_table(tmp_path: Path, tree: Path) -> None:
    """Without a mount or a device, so that nobody needs root: the table is in the last 72 bytes of the first sector."""
    raw = tmp_path / "disk.raw"
    raw.write_bytes(b"." * (2 << 20))
    disk._install_boot_loader(raw, tree)
    assert raw.read_bytes() == b"B" * 440 + b"." * 72 + b"C" * 3000 + b"." * ((2 << 20) - 512 - 3000)


def test_a_boot_loader_never_overwrites_the_partition(tmp_path: Path, tree: Path) -> None:
    raw = tmp_path / "disk.raw"
    raw.write_bytes(b"." * (2 << 20))
    (tree / "boot/grub/core.img").write_bytes(b"C" * ((1 << 20) - 511))
    with pytest.raises(HalabError, match="GRUB does not fit before the partition"):
        disk._install_boot_loader(raw, tree)
    assert raw.read_bytes() == b"." * (2 << 20)


def test_grub_reads_its_commands_from_the_first_partition_of_its_own_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(disk, "run_inside", lambda _tree, argv: commands.append(argv))
    monkeypatch.setattr(
        disk, "add_templates", lambda name, tree: shutil.copytree(data.templates() / name, tree)
    )
    tree = tmp_path / "tree"
    disk.prepare(tree)
    (grub,) = (command for command in commands if command[0] == "grub-mkimage")
    (prefix,) = (word.removeprefix("--prefix=") for word in grub if word.startswith("--prefix="))
    assert prefix.startswith("(,msdos1)/")
    lines = (tree / prefix.removeprefix("(,msdos1)/") / "grub.cfg").read_text().splitlines()
    assert [line.split()[0] for line in lines if not line.startswith("#")] == ["linux", "initrd", "boot"]


def test_the_metadata_for_vagrant_has_format_and_size() -> None:
    assert json.loads(disk.metadata(20)) == {"provider": "libvirt", "format": "qcow2", "virtual_size": 20}


def test_boxes_of_the_two_providers_have_different_keys() -> None:
    assert box.key("debian-12", "b0", ProviderKind.LIBVIRT) != box.key(
        "debian-12", "b0", ProviderKind.DOCKER
    )
    assert box.key("debian-12", "b0", ProviderKind.LIBVIRT) != box.key(
        "debian-12", "b1", ProviderKind.LIBVIRT
    )


def test_a_box_of_one_provider_is_not_used_for_the_other() -> None:
    made = folder() / "boxes" / f"debian-12-{box.key('debian-12', 'b0', ProviderKind.LIBVIRT)}"
    made.mkdir(parents=True)
    (made / "libvirt.box").write_bytes(b"12345")
    found = box.find("debian-12", "b0", ProviderKind.LIBVIRT)
    assert found and found.size_bytes == 5
    assert box.find("debian-12", "b0", ProviderKind.DOCKER) is None
    assert box.installed() == [found]


def test_a_folder_without_a_finished_box_is_not_listed() -> None:
    (folder() / "boxes" / "debian-12-0123456789ab").mkdir(parents=True)
    assert box.installed() == []


def test_only_vagrants_published_key_may_log_in_and_vagrant_replaces_it() -> None:
    keys = data.templates() / disk.TEMPLATES / "home/vagrant/.ssh/authorized_keys"
    lines = [line for line in keys.read_text().splitlines() if not line.startswith("#")]
    assert [line.split(maxsplit=2)[2] for line in lines] == ["vagrant insecure public key"]
