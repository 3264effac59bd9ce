"""What people write in a lab file, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from halab import data
from halab.config import box, kubernetes
from halab.config.lab import Acceleration, LabFile, ProviderKind
from halab.config.load_balancer import Balancer
from halab.config.load_balancer_choices import BackendCheck
from halab.config.loading import load, loads
from halab.errors import BadFile, BadUsage
from halab.topology import files


def problems(text: str) -> list[str]:
    with pytest.raises(BadFile) as caught:
        loads(text, "lab.yml", LabFile)
    return [str(problem) for problem in caught.value.problems]


def test_an_empty_file_is_a_lab_of_three() -> None:
    lab = loads("", "lab.yml", LabFile)
    assert (lab.name, lab.control_planes, lab.workers) == ("ha", 3, 0)
    assert (lab.provider, lab.accel, lab.network) == (ProviderKind.AUTO, Acceleration.AUTO, "auto")
    assert (lab.load_balancer.kind, lab.load_balancer.check) == (Balancer.HAPROXY, BackendCheck.READYZ)
    assert (lab.machines.cp.cpus, lab.machines.cp.memory) == (2, 2048)
    assert lab == LabFile()


def test_what_init_writes_is_what_an_empty_file_means(tmp_path: Path) -> None:
    path = tmp_path / "lab.yml"
    path.write_text(files.default_lab_file())
    assert load(path, LabFile) == LabFile()
    # what has no default is shown, and not written
    without_default = {"provider_uri", "endpoint", "kubeadm", "images", "manifests", "setup", "source"}
    for name in without_default:
        assert f"# {name}: " in path.read_text()
    assert yaml.safe_load(path.read_text()).keys() == LabFile.model_fields.keys() - without_default


@pytest.mark.parametrize(
    "name",
    ["", "Ha", "1a", "-a", "a_b", "a b", "a'b", 'a"b', "a$(id)", "a`id`", "a;b", "a/b", "a\n", "a\nb", "a.b", "ä",
     "a" * 21, "../a"],
)  # fmt: skip
def test_a_name_that_is_not_a_plain_word_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="should be up to 20 lower-case letters"):
        LabFile(name=name)


@given(st.from_regex(r"[a-z][a-z0-9-]{0,19}", fullmatch=True))
def test_a_plain_word_is_a_name(name: str) -> None:
    assert LabFile(name=name).name == name


def test_a_refused_name_is_shown_with_its_line_and_the_rule() -> None:
    (said,) = problems('control_planes: 3\nname: "a$(id)"\n')
    assert said == (
        "lab.yml:2: name: should be up to 20 lower-case letters, digits and dashes that begin with a letter, not a$(id)"
    )


@pytest.mark.parametrize("count", ["0", "-1", "7", "three", "3.5", "true"])
def test_other_numbers_of_members_are_refused(count: str) -> None:
    (said,) = problems(f"control_planes: {count}")
    assert said.startswith("lab.yml:1: control_planes: ")


@pytest.mark.parametrize(
    ("written", "mebibytes"), [("512M", 512), ("2G", 2048), ("1700MiB", 1700), ("3 GB", 3072)]
)
def test_memory_has_a_unit(written: str, mebibytes: int) -> None:
    assert (
        loads(
            f"machines: {{worker: {{memory: {written}}}, cp: {{memory: 2G}}}}", "f", LabFile
        ).machines.worker.memory
        == mebibytes
    )


@pytest.mark.parametrize("written", ["512", "2T", "-1G", "1.5G", "G", "[]", "9999999999M"])
def test_memory_without_a_known_unit_is_refused(written: str) -> None:
    (said,) = problems(f"machines: {{lb: {{memory: {written}}}}}")
    assert "machines.lb.memory: " in said
    assert "512M or 2G" in said


def test_less_memory_than_kubeadm_wants_is_refused() -> None:
    (said,) = problems("machines: {cp: {memory: 1G}}")
    assert "machines.cp.memory" in said
    assert "1700" in said


@pytest.mark.parametrize(
    "network",
    ["10.213.7.0/24", "192.168.56.0/24", "172.30.0.0/24", "10.0.0.0/24", "10.255.255.0/24", "172.16.0.0/24",
     "172.31.255.0/24", "192.168.0.0/24", "192.168.255.0/24"],
)  # fmt: skip
def test_a_private_slash_24_is_a_network(network: str) -> None:
    assert LabFile(network=network).network == network


@pytest.mark.parametrize(
    "network",
    ["0.0.0.0/24", "127.0.0.0/24", "169.254.0.0/24", "240.0.0.0/24", "255.255.255.0/24", "198.18.0.0/24",
     "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "192.0.0.0/24", "224.0.0.0/24", "100.64.0.0/24",
     "9.255.255.0/24", "11.0.0.0/24", "172.15.255.0/24", "172.32.0.0/24", "192.167.255.0/24", "192.169.0.0/24",
     "8.8.8.0/24"],
)  # fmt: skip
def test_a_network_that_is_not_one_of_rfc_1918_is_refused(network: str) -> None:
    (said,) = problems(f"workers: 0\nnetwork: {network}\n")
    assert said == (
        "lab.yml:2: network: should be a private network (RFC 1918), "
        f"a /24 in 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16, not {network}"
    )


def test_a_network_with_a_mask_is_kept_as_a_slash_24() -> None:
    assert LabFile(network="10.213.7.0/255.255.255.0").network == "10.213.7.0/24"


def test_an_unknown_box_of_halab_is_refused_with_the_nearest() -> None:
    (said,) = problems("name: ha\nbox: debian-21\n")
    assert said == "lab.yml:2: box: is not a box that halab builds; did you mean debian-12?"
    (said,) = problems("name: ha\nbox: typo\n")
    assert said == "lab.yml:2: box: is not a box that halab builds; known: debian-12"


def test_a_stock_box_may_have_any_name() -> None:
    text = "provider: libvirt\nbox: bento/ubuntu-24.04\n"
    assert loads(text, "lab.yml", LabFile).box == "bento/ubuntu-24.04"


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        ("10.213.0.0/16", "a /24"),
        ("10.213.7.1/24", "host bits"),
        ("8.8.8.0/24", "private"),
        ("fd00::/120", "a /24"),
        ("somewhere", "a /24"),
    ],
)
def test_another_network_is_refused_with_the_reason(network: str, reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        LabFile(network=network)


@pytest.mark.parametrize(
    "name", ["API.lab.example", "api", "api.lab.example:6443", "10.0.0.1", "a..b", "api.localhost"]
)
def test_an_endpoint_is_a_dns_name_without_a_port(name: str) -> None:
    (said,) = problems(f'endpoint: "{name}"')
    assert said.startswith("lab.yml:1: endpoint: ")
    assert "such as api.lab.example" in said


def test_all_problems_are_reported_at_once() -> None:
    said = problems("nam: ha\ncontrol_planes: 9\nworkers: many\nload_balancer: {kind: envoy}\n")
    assert [line.split(": ")[0] for line in said] == ["lab.yml:1", "lab.yml:2", "lab.yml:3", "lab.yml:4"]
    assert "did you mean name?" in said[0]


def test_a_lab_file_is_frozen() -> None:
    with pytest.raises(ValidationError):
        LabFile().name = "other"  # type: ignore[misc]


def test_a_minor_is_its_pinned_patch() -> None:
    assert kubernetes.resolve("1.37") is kubernetes.RELEASES["1.37"]
    assert kubernetes.resolve(kubernetes.DEFAULT).minor == kubernetes.DEFAULT


def test_a_patch_keeps_the_components_of_its_minor() -> None:
    release = kubernetes.resolve("1.36.9")
    assert (release.kubernetes, release.minor, release.etcd) == (
        "1.36.9",
        "1.36",
        kubernetes.RELEASES["1.36"].etcd,
    )


def test_latest_is_the_newest() -> None:
    newest = kubernetes.resolve("latest").kubernetes
    assert all(kubernetes.at_least(newest, release.kubernetes) for release in kubernetes.RELEASES.values())


def test_versions_compare_as_numbers() -> None:
    assert kubernetes.at_least("1.100.0", "1.99.3")
    assert not kubernetes.at_least("1.9", "1.34")


@pytest.mark.parametrize("version", ["1.12", "2.0", "1.37.٣", "v1.37", "1.37.x", "1.37; id", "", "1.37.2\n"])
def test_an_unknown_version_names_the_known_ones(version: str) -> None:
    with pytest.raises(BadUsage) as caught:
        kubernetes.resolve(version)
    assert "1.34, 1.35, 1.36, 1.37" in (caught.value.hint or "")


def test_an_unknown_version_in_a_file_has_its_line() -> None:
    (said,) = problems("kubernetes:\n  version: '1.12'\n")
    assert said.startswith(
        "lab.yml:2: kubernetes.version: unknown Kubernetes version: 1.12; halab knows 1.34"
    )


def test_every_box_has_a_recipe_that_can_be_read() -> None:
    assert "debian-12" in box.names()
    for name in box.names():
        assert "systemd-sysv" in box.recipe(name).packages


def test_a_box_starts_no_load_balancer_before_it_has_its_configuration() -> None:
    for name in box.names():
        missing = {f"{kind.service}.service" for kind in Balancer if kind.has_machines} - set(
            box.recipe(name).disable
        )
        assert not missing, f"add to disable in boxes/{name}.yml: {', '.join(sorted(missing))}"


def test_an_unknown_box_names_the_known_ones() -> None:
    with pytest.raises(BadUsage) as caught:
        box.recipe("plan9")
    assert (caught.value.message, caught.value.hint) == ("no such box: plan9", "halab builds debian-12")


def test_files_beside_the_package_are_found() -> None:
    assert (data.templates() / "Vagrantfile.j2").is_file() or (data.root() / "Vagrantfile.j2").is_file()
    assert data.boxes().is_dir()
    assert data.scenarios().is_dir()
