"""What the checks report about a host, and the fixes they offer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support.doctor_results import run_check
from support.fake_host import DATA, GIB, KVM, LIBVIRT_SOCKET, SOCKET, SYSTEMD, FakeHost, bundle_of, place_of
from support.os_releases import OS_RELEASE

from halab.bugs import versions
from halab.config.kubernetes import RELEASES, BundleSource
from halab.config.lab import LabFile
from halab.doctor import examine, require
from halab.doctor.check import HostCheckState
from halab.doctor.kvm_guest import Boot
from halab.errors import Corrupted, HostProblem
from halab.images.manifest import FileRecord
from halab.images.user_namespace import NoUserNamespace
from halab.packages import BUILD_ELSEWHERE


def test_a_complete_host_passes_every_check() -> None:
    for provider in ("docker", "libvirt"):
        # only root can see the firewall
        report = examine(place_of(provider=provider), FakeHost(is_root=True))
        assert [result.name for result in report.results if result.state is not HostCheckState.OK] == []
        assert report.could_run


def test_every_check_has_its_own_name() -> None:
    names = [result.name for result in examine(place_of(), FakeHost()).results]
    assert len(names) == len(set(names))


def test_every_failure_has_a_fix() -> None:
    report = examine(place_of(provider="libvirt"), bare_host())
    assert [
        result.name
        for result in report.results
        if result.state is HostCheckState.FAILED and not result.fixes
    ] == []


def bare_host() -> FakeHost:
    nothing = HostProblem("no docker engine answers")
    return FakeHost(
        tools=set(), packages={}, existing=set(), engine_facts=nothing, cached_bundle=False, has_box=False, free=0,
        obstacles={BundleSource.RELEASE: HostProblem("no answer", hint="go online"),
                   BundleSource.MODULES: HostProblem("no Go", hint="install Go")},
    )  # fmt: skip


@pytest.mark.parametrize("version", ["2.3.4", "2.4.9", "2.3.8.dev"])
def test_vagrant_passes_from_the_oldest_tested_version_on(version: str) -> None:
    host = FakeHost()
    host.outputs["vagrant --version"] = f"Vagrant {version}\n"
    assert run_check("vagrant", host).state is HostCheckState.OK


def test_an_old_vagrant_fails() -> None:
    host = FakeHost()
    host.outputs["vagrant --version"] = "Vagrant 2.2.19\n"
    result = run_check("vagrant", host)
    assert result.state is HostCheckState.FAILED
    assert result.seen == "2.2.19, older than 2.3.4"


def test_a_python_vagrant_that_cannot_be_imported_fails() -> None:
    result = run_check("python-vagrant", FakeHost(unimportable={"vagrant": "No module named 'six'"}))
    assert result.seen == "1.0.0 is installed but cannot be imported: No module named 'six'"
    assert "--force-reinstall 'python-vagrant>=1.0,<1.1'" in result.fixes[0]


def test_the_fix_of_a_missing_tool_names_its_package() -> None:
    host = FakeHost()
    host.tools.remove("ssh-keygen")
    result = run_check("ssh", host)
    assert result.seen == "not found: ssh-keygen"
    assert list(result.fixes) == ["sudo apt-get install -y --no-install-recommends openssh-client"]


def test_root_needs_no_sudo() -> None:
    host = FakeHost(is_root=True)
    host.tools.remove("ip")
    assert list(run_check("iproute2", host).fixes) == ["apt-get install -y --no-install-recommends iproute2"]


def test_a_python_vagrant_other_than_1_0_fails() -> None:
    assert (
        run_check("python-vagrant", FakeHost(packages={"python-vagrant": "1.1.0"})).state
        is HostCheckState.FAILED
    )


def test_the_fix_of_a_missing_docker_socket_starts_docker() -> None:
    result = run_check("docker access", FakeHost(existing={SYSTEMD}))
    assert result.state is HostCheckState.FAILED
    assert list(result.fixes) == ["sudo systemctl enable --now docker"]


def test_without_an_init_system_the_fix_is_bare_host() -> None:
    (fix,) = run_check("docker access", FakeHost(existing=set())).fixes
    assert fix.startswith("scripts/bare-host run halab up")


def test_the_fix_of_a_forbidden_docker_socket_joins_its_group() -> None:
    host = FakeHost(forbidden={SOCKET})
    assert list(run_check("docker access", host).fixes) == [
        "sudo usermod -aG docker ada  # then log in again"
    ]
    assert run_check("docker engine", host).state is HostCheckState.SKIPPED


def test_the_socket_named_by_docker_host_is_checked() -> None:
    host = FakeHost(variables={"DOCKER_HOST": "unix:///run/mine.sock"})
    result = run_check("docker access", host)
    assert result.seen == "no such socket: /run/mine.sock"
    assert result.fixes[0].startswith("unset DOCKER_HOST")


def test_an_engine_that_does_not_answer_fails_one_check() -> None:
    report = examine(place_of(), FakeHost(engine_facts=HostProblem("no docker engine answers")))
    assert [result.name for result in report.results if result.state is HostCheckState.FAILED] == [
        "docker engine"
    ]


def test_a_rootless_engine_fails() -> None:
    facts = FakeHost().docker()
    assert (
        run_check("docker engine", FakeHost(engine_facts=replace(facts, is_rootless=True))).state
        is HostCheckState.FAILED
    )


def test_an_engine_on_another_host_is_reached_over_ssh_only() -> None:
    host = FakeHost(variables={"DOCKER_HOST": "tcp://elsewhere:2375"})
    assert run_check("docker host", host).state is HostCheckState.WARNING
    host.variables["DOCKER_HOST"] = "ssh://ada@elsewhere"
    assert run_check("docker host", host).state is HostCheckState.OK


def test_memory_is_not_checked_if_the_engine_is_on_another_host() -> None:
    host = FakeHost(
        variables={"DOCKER_HOST": "ssh://ada@elsewhere"}, texts={"/proc/meminfo": "MemAvailable: 1 kB\n"}
    )
    assert run_check("memory", host).seen == "not checked: the machines are on ada@elsewhere"
    host.variables.clear()
    assert run_check("memory", host).state is HostCheckState.FAILED


def test_an_engine_without_its_command_is_completed() -> None:
    """Debian 13: docker.io 26.1.5+dfsg1-9 only recommends docker-cli (its package record)."""
    host = FakeHost()
    host.tools.discard("docker")
    host.tools.add("dockerd")
    assert "install -y --no-install-recommends docker-cli" in run_check("docker command", host).fixes[0]
    host.tools.discard("dockerd")
    assert "install -y --no-install-recommends docker.io" in run_check("docker command", host).fixes[0]


def test_a_docker_context_that_halab_does_not_follow_fails() -> None:
    host = FakeHost(variables={"HOME": "/home/ada"})
    host.texts["/home/ada/.docker/config.json"] = '{"currentContext": "desktop-linux"}'
    assert run_check("docker command", host).state is HostCheckState.FAILED
    host.variables["DOCKER_HOST"] = f"unix://{SOCKET}"
    assert run_check("docker command", host).state is HostCheckState.OK


@pytest.mark.parametrize(
    ("available", "state"),
    [(12 * 1024, HostCheckState.OK), (4 * 1024, HostCheckState.WARNING), (1024, HostCheckState.FAILED)],
)
def test_memory_is_compared_with_what_the_lab_needs(available: int, state: HostCheckState) -> None:
    host = FakeHost()
    host.texts["/proc/meminfo"] = f"MemAvailable:   {available * 1024} kB\n"
    assert run_check("memory", host).state is state


def test_a_smaller_lab_needs_less_memory() -> None:
    host = FakeHost()
    host.texts["/proc/meminfo"] = f"MemAvailable:   {1024 * 1024} kB\n"
    assert run_check("memory", host, control_planes=1).state is HostCheckState.WARNING


def test_a_lab_that_runs_has_its_memory_already() -> None:
    host = FakeHost(machines_up=4)
    host.texts["/proc/meminfo"] = "MemAvailable:   102400 kB\n"
    assert run_check("memory", host).state is HostCheckState.OK


def test_a_full_disk_of_the_engine_fails() -> None:
    assert run_check("engine disk", FakeHost(free=GIB)).state is HostCheckState.FAILED


def test_the_disk_of_an_engine_on_another_host_is_not_checked() -> None:
    assert run_check("engine disk", FakeHost(existing={SOCKET})).state is HostCheckState.SKIPPED
    host = FakeHost(variables={"DOCKER_HOST": "tcp://10.0.0.9:2375"}, existing={DATA}, free=0)
    assert run_check("engine disk", host).state is HostCheckState.SKIPPED


def test_the_cache_needs_space_only_for_missing_files() -> None:
    assert run_check("cache disk", FakeHost(free=GIB)).state is HostCheckState.OK
    assert run_check("cache disk", FakeHost(free=5 * GIB, has_box=False)).state is HostCheckState.OK
    assert (
        run_check("cache disk", FakeHost(free=5 * GIB, cached_bundle=False)).state is HostCheckState.FAILED
    )


@pytest.mark.parametrize(("source", "needed"), [("release", 3 + 4), ("modules", 6 + 4), ("auto", 6 + 4)])
def test_a_missing_bundle_needs_the_space_that_its_build_asks_for(source: str, needed: int) -> None:
    """And 4 GiB for the box. A build refuses a disk that doctor must not have accepted."""
    for free, state in ((needed * GIB, HostCheckState.OK), (needed * GIB - 1, HostCheckState.FAILED)):
        host = FakeHost(free=free, cached_bundle=False)
        assert run_check("cache disk", host, kubernetes={"source": source}).state is state


@pytest.mark.parametrize(
    ("limit", "state"),
    [(512, HostCheckState.OK), (128, HostCheckState.WARNING), (64, HostCheckState.FAILED)],
)
def test_inotify_instances_are_compared_with_what_the_lab_needs(limit: int, state: HostCheckState) -> None:
    host = FakeHost()
    host.texts["/proc/sys/fs/inotify/max_user_instances"] = f"{limit}\n"
    assert run_check("inotify", host).state is state


def test_the_fix_of_a_limit_also_survives_a_reboot() -> None:
    host = FakeHost()
    host.texts["/proc/sys/fs/inotify/max_user_instances"] = "128\n"
    assert list(run_check("inotify", host).fixes) == [
        "sudo sysctl -w fs.inotify.max_user_instances=512 | sudo tee -a /etc/sysctl.d/60-halab.conf"
    ]


def test_a_kernel_short_of_files_fails() -> None:
    host = FakeHost()
    host.texts["/proc/sys/fs/file-nr"] = "9000\t0\t10000\n"
    assert run_check("open files", host).state is HostCheckState.FAILED


def test_a_network_in_use_fails_with_the_error_and_its_hint() -> None:
    host = FakeHost(lab_network=HostProblem("the network is in use", hint="write `network: auto`"))
    result = run_check("network", host)
    assert (result.seen, list(result.fixes)) == ("the network is in use", ["write `network: auto`"])


def test_a_name_used_by_another_lab_fails() -> None:
    result = run_check("name", FakeHost(other_lab=Path("/labs/other/.halab")))
    assert result.seen == "another lab on this host is called ha: /labs/other"


def test_a_missing_bundle_is_a_warning_if_a_source_is_available() -> None:
    host = FakeHost(cached_bundle=False, obstacles={BundleSource.RELEASE: HostProblem("no answer")})
    result = run_check("bundle", host)
    assert result.state is HostCheckState.WARNING
    assert "builds it with Go" in result.seen
    assert list(result.fixes) == ["halab bundle build --kubernetes 1.37"]


def test_a_missing_bundle_without_a_source_fails_with_every_reason() -> None:
    result = run_check("bundle", bare_host())
    assert result.seen == "not in the cache, and no source is available: release: no answer; modules: no Go"
    assert list(result.fixes) == ["release: go online", "modules: install Go"]


KUBE_VIP = {"kind": "kube-vip"}


def test_a_lab_with_kube_vip_needs_its_image_beside_the_bundle() -> None:
    assert run_check("bundle", FakeHost(), load_balancer=KUBE_VIP).state is HostCheckState.OK
    result = run_check("bundle", FakeHost(has_component=False), load_balancer=KUBE_VIP)
    assert result.state is HostCheckState.WARNING
    assert "not in the cache; `halab up` builds it with Go (1 to 5 min): kube-vip 0.9.1" in result.seen
    assert list(result.fixes) == ["halab bundle build --component kube-vip@0.9.1"]
    assert run_check("bundle", FakeHost(has_component=False)).state is HostCheckState.OK


def test_an_image_that_is_broken_or_cannot_be_built_fails() -> None:
    lacking = FakeHost(has_component=False, component_lacks=HostProblem("no Go", hint="install Go"))
    result = run_check("bundle", lacking, load_balancer=KUBE_VIP)
    assert result.seen == "not in the cache, and it cannot be built: kube-vip 0.9.1: no Go"
    assert list(result.fixes) == ["install Go"]
    broken = FakeHost(has_component=Corrupted("checksum mismatch"))
    assert list(run_check("bundle", broken, load_balancer=KUBE_VIP).fixes) == [
        "halab bundle build --component kube-vip@0.9.1 --force"
    ]


def test_only_the_source_of_the_lab_file_counts() -> None:
    host = FakeHost(
        cached_bundle=False, obstacles={BundleSource.RELEASE: HostProblem("no answer", hint="wait")}
    )
    assert run_check("bundle", host, kubernetes={"source": "release"}).state is HostCheckState.FAILED


def test_a_bundle_with_a_truncated_file_fails(tmp_path: Path) -> None:
    complete, truncated = tmp_path / "kubelet", tmp_path / "kubectl"
    complete.write_text("1234")
    truncated.write_text("12")
    records = {
        path.name: FileRecord(size=4, sha256="0" * 64, origin=["a test"]) for path in (complete, truncated)
    }
    plain = bundle_of(RELEASES["1.37"], tmp_path)
    cut = replace(plain, manifest=plain.manifest.model_copy(update={"files": records}))
    result = run_check("bundle", FakeHost(cached_bundle=cut))
    assert result.seen == "missing or truncated: kubectl"
    assert list(result.fixes) == ["halab bundle build --kubernetes 1.37 --force"]


def test_an_unreadable_bundle_fails_every_check_that_reads_it() -> None:
    host = FakeHost(cached_bundle=Corrupted("the manifest is no JSON"))
    assert run_check("bundle", host).seen == "the manifest is no JSON"
    assert run_check("box", host).state is HostCheckState.FAILED


@pytest.mark.parametrize(("provider", "option"), [("docker", ""), ("libvirt", " --provider libvirt")])
def test_a_user_can_build_a_missing_box(provider: str, option: str) -> None:
    for is_root in (False, True):
        result = run_check("box", FakeHost(has_box=False, is_root=is_root), provider=provider)
        assert result.state is HostCheckState.WARNING
        assert list(result.fixes) == [f"halab box build debian-12{option} --kubernetes 1.37"]


def test_where_no_user_namespace_works_root_builds_the_box() -> None:
    lacking = NoUserNamespace("no user namespace for this user: no newuidmap", hint="INSTALL uidmap")
    host = FakeHost(has_box=False, box_lacks=lacking, variables={"HALAB_CACHE": "/big/cache"})
    result = run_check("box", host)
    assert result.state is HostCheckState.FAILED
    build = "halab box build debian-12 --kubernetes 1.37"
    assert list(result.fixes) == [
        f"INSTALL uidmap && {build}",
        f'sudo env HOME="$HOME" PATH="$PATH" HALAB_CACHE="$HALAB_CACHE" {build}',
    ]


def test_root_does_not_help_where_a_tool_is_missing() -> None:
    host = FakeHost(has_box=False, box_lacks=HostProblem("not found: sfdisk", hint="INSTALL fdisk"))
    assert list(run_check("box", host).fixes) == [
        "INSTALL fdisk && halab box build debian-12 --kubernetes 1.37"
    ]


def test_failed_libvirt_checks_never_stop_a_lab_of_containers() -> None:
    host = FakeHost(
        existing={SOCKET, DATA, KVM, LIBVIRT_SOCKET},
        booted=Boot(["real mode"], "protected mode", "it did not end within 10 s"),
        libvirt_facts=HostProblem("no libvirt answers"),
    )  # fmt: skip
    report = examine(place_of(), host)
    assert report.could_run
    assert [result.name for result in report.results if result.state is HostCheckState.FAILED] == [
        "kvm",
        "libvirt",
    ]


def test_a_guest_that_stops_is_reported_with_its_stage_and_complaint() -> None:
    host = FakeHost(booted=Boot(["real mode"], "protected mode", "it did not end within 10 s"))
    assert run_check("kvm", host).seen == (
        "/dev/kvm opens, but a tiny guest stops: it completes real mode, but not protected mode "
        "(it did not end within 10 s)"
    )


def test_without_qemu_kvm_is_skipped() -> None:
    host = FakeHost()
    host.tools.remove("qemu-system-x86_64")
    result = run_check("kvm", host)
    assert result.state is HostCheckState.SKIPPED
    assert list(result.fixes) == ["sudo apt-get install -y --no-install-recommends qemu-system-x86"]
    assert host.guests == []


@pytest.mark.parametrize(
    ("flags", "fix"),
    [("flags: fpu svm", "kvm_amd"), ("flags: vmx", "kvm_intel"), ("flags: fpu", "firmware")],
)
def test_the_fix_of_a_missing_kvm_device_depends_on_the_processor(flags: str, fix: str) -> None:
    host = FakeHost(existing={SOCKET})
    host.texts["/proc/cpuinfo"] = flags
    assert fix in run_check("kvm", host).fixes[0]


def test_kvm_is_skipped_for_an_emulated_lab() -> None:
    host = FakeHost()
    assert run_check("kvm", host, provider="libvirt", accel="tcg").state is HostCheckState.SKIPPED
    assert host.guests == []


def test_a_missing_libvirt_is_skipped_unless_the_lab_needs_it() -> None:
    host = bare_host()
    for name in ("libvirt access", "libvirt-python", "qemu", "dnsmasq"):
        assert run_check(name, host).state is HostCheckState.SKIPPED
        assert run_check(name, host, provider="libvirt").state is HostCheckState.FAILED
    assert run_check("libvirt", host, provider="libvirt").seen == "not checked: no access to the socket"


def test_failed_docker_checks_never_stop_a_lab_of_virtual_machines() -> None:
    report = examine(place_of(provider="libvirt"), FakeHost(engine_facts=HostProblem("no engine")))
    assert [result.name for result in report.results if result.stops_the_lab] == []


def test_a_truncated_box_fails() -> None:
    result = run_check("box", FakeHost(has_box=Corrupted("truncated: /cache/box/root.tar")))
    assert (result.state, result.seen) == (HostCheckState.FAILED, "truncated: /cache/box/root.tar")
    assert list(result.fixes) == ["halab box build debian-12 --kubernetes 1.37 --force"]


def test_a_box_for_virtual_machines_needs_more_tools() -> None:
    missing = HostProblem("not found: sfdisk", hint="sudo apt-get install fdisk")
    result = run_check("box", FakeHost(has_box=False, is_root=True, box_lacks=missing), provider="libvirt")
    assert result.seen == "not in the cache, and it cannot be built: not found: sfdisk"
    build = "halab box build debian-12 --provider libvirt --kubernetes 1.37"
    assert list(result.fixes) == [f"sudo apt-get install fdisk && {build}"]


def test_output_in_an_unknown_form_fails_the_check() -> None:
    host = FakeHost()
    host.texts["/proc/sys/fs/file-nr"] = "many 0 9000\n"
    result = run_check("open files", host)
    assert result.state is HostCheckState.FAILED
    assert result.seen.startswith("halab does not understand the answer: ValueError")
    assert result.fixes


def test_the_clock_is_checked_with_systemd() -> None:
    host = FakeHost()
    assert run_check("clock", host).state is HostCheckState.OK
    host.outputs["timedatectl show --property=NTPSynchronized"] = "NTPSynchronized=no\n"
    result = run_check("clock", host)
    assert result.state is HostCheckState.WARNING
    assert result.fixes[0] == "sudo timedatectl set-ntp true"


@pytest.mark.parametrize(
    ("output", "state"),
    [("Leap status     : Normal\n", HostCheckState.OK),
     ("Leap status     : Not synchronised\n", HostCheckState.WARNING),
     ("506 Cannot talk to daemon\n", HostCheckState.SKIPPED)],
)  # fmt: skip
def test_without_systemd_the_clock_is_checked_with_chrony(output: str, state: HostCheckState) -> None:
    host = FakeHost(existing=set())
    host.tools.add("chronyc")
    host.outputs["chronyc -n tracking"] = output
    assert run_check("clock", host).state is state


def test_a_clock_without_a_time_service_is_skipped() -> None:
    host = FakeHost()
    host.outputs["timedatectl show --property=NTPSynchronized"] = HostProblem("the bus is down")
    result = run_check("clock", host)
    assert result.state is HostCheckState.SKIPPED
    assert result.fixes[0].startswith("date --utc")
    host.existing.add(Path("/run/systemd/timesync/synchronized"))
    assert run_check("clock", host).state is HostCheckState.OK


@pytest.mark.parametrize(
    ("name", "state"),
    [("debian-12", HostCheckState.OK), ("ubuntu-24.04", HostCheckState.OK), ("fedora-41", HostCheckState.WARNING),
     ("almalinux-9", HostCheckState.WARNING), ("arch", HostCheckState.WARNING)],
)  # fmt: skip
def test_a_distribution_without_boxes_is_named_at_once_with_the_way_round(
    name: str, state: HostCheckState
) -> None:
    host = FakeHost()
    host.tools.remove("mmdebstrap")
    host.texts["/etc/os-release"] = OS_RELEASE[name]
    result = run_check("distribution", host)
    assert result.state is state
    assert [fix.startswith("build the box on Debian") for fix in result.fixes[:1]] == [True] * (
        state != "ok"
    )


def test_mmdebstrap_from_elsewhere_builds_boxes_on_arch() -> None:
    host = FakeHost()
    host.texts["/etc/os-release"] = OS_RELEASE["arch"]
    assert run_check("distribution", host).seen == "Arch Linux, where nobody has tested halab"


def test_red_hat_is_said_to_run_no_virtual_machines() -> None:
    host = FakeHost()
    host.texts["/etc/os-release"] = OS_RELEASE["almalinux-9"]
    result = run_check("distribution", host)
    assert (
        "AlmaLinux 9.3 (Shamrock Pampas Cat): halab builds no boxes here and runs no virtual" in result.seen
    )
    assert result.fixes[1].startswith("provider: docker")


def test_a_box_that_cannot_be_built_here_has_no_command_after_the_way_round() -> None:
    host = FakeHost(has_box=False, is_root=True)
    host.tools.remove("mmdebstrap")
    host.texts["/etc/os-release"] = OS_RELEASE["fedora-41"]
    assert list(run_check("box", host).fixes) == [BUILD_ELSEWHERE]
    host.tools.add("mmdebstrap")
    host.box_lacks = HostProblem("no keys", hint=BUILD_ELSEWHERE)
    assert list(run_check("box", host).fixes) == [BUILD_ELSEWHERE]


def test_auto_says_that_libvirt_would_work_only_if_every_check_of_libvirt_passes() -> None:
    assert examine(place_of(), FakeHost()).libvirt_would_work
    assert not examine(place_of(provider="docker"), FakeHost()).libvirt_would_work
    assert not examine(place_of(provider="libvirt"), FakeHost()).libvirt_would_work
    no_guest = Boot(["real mode"], "protected mode", "it did not end within 10 s")
    assert not examine(place_of(), FakeHost(booted=no_guest)).libvirt_would_work
    without_dnsmasq = FakeHost()
    without_dnsmasq.tools.remove("dnsmasq")
    assert not examine(place_of(), without_dnsmasq).libvirt_would_work


def test_require_passes_on_a_complete_host() -> None:
    require(place_of(), FakeHost())


def test_require_names_every_failed_check_with_its_fix() -> None:
    host = FakeHost(existing=set())
    host.tools -= {"vagrant", "ip"}
    with pytest.raises(HostProblem) as raised:
        require(place_of(), host)
    assert raised.value.message.splitlines() == [
        "this host cannot run the lab",
        "iproute2: not found: ip",
        "vagrant: not found: vagrant",
        "docker access: no such socket: /var/run/docker.sock",
    ]
    assert raised.value.hint is not None
    assert "iproute2: sudo apt-get install -y --no-install-recommends iproute2" in raised.value.hint


def test_require_does_not_boot_a_guest_for_a_lab_of_containers() -> None:
    host = FakeHost()
    assert require(place_of(), host) == []
    assert host.guests == []


def test_require_boots_a_guest_for_accelerated_machines() -> None:
    host = FakeHost(booted=Boot(["real mode"], "protected mode", "it did not end within 10 s"))
    with pytest.raises(HostProblem, match="/dev/kvm opens, but a tiny guest") as raised:
        require(place_of(provider="libvirt"), host)
    assert raised.value.hint is not None
    assert "kvm: provider: docker" in raised.value.hint
    assert "or: accel: tcg" in raised.value.hint
    assert require(place_of(provider="libvirt", accel="tcg"), host) == []


def test_require_checks_the_vagrant_plugin() -> None:
    host = FakeHost()
    host.outputs["vagrant plugin list"] = "No plugins installed.\n"
    with pytest.raises(HostProblem, match="not installed: vagrant-libvirt"):
        require(place_of(provider="libvirt"), host)
    require(place_of(), host)


def test_kvm_that_a_bare_host_hides_from_its_libvirt_is_not_there() -> None:
    """`scripts/bare-host virt` tells the commands that it runs what its libvirt has."""
    hidden = FakeHost(variables={"HALAB_BARE_HOST_KVM": "no"})
    result = run_check("kvm", hidden, provider="libvirt")
    assert result.state is HostCheckState.FAILED
    assert result.seen.startswith("scripts/bare-host hides /dev/kvm from its libvirt")
    assert hidden.guests == []
    shown = FakeHost(variables={"HALAB_BARE_HOST_KVM": "yes"})
    assert run_check("kvm", shown, provider="libvirt").state is HostCheckState.OK


def test_known_bugs_of_the_versions_are_named_with_the_version_without_them() -> None:
    assert run_check("known bugs", FakeHost()).state is HostCheckState.OK
    result = run_check("known bugs", FakeHost(), kubernetes={"version": "1.36", "etcd": "3.6.11"})
    assert result.state is HostCheckState.WARNING
    assert result.seen == "etcd 3.6.11: member-update-forgets-learner"
    assert list(result.fixes) == [
        "in /labs/ha/lab.yml, below `kubernetes`, set etcd to 3.6.12 (or a later patch), and leave the rest; "
        "then `halab down && halab up`"
    ]


def test_of_several_known_bugs_one_line_says_which_versions_to_set() -> None:
    result = run_check("known bugs", FakeHost(), kubernetes={"version": "1.35.5", "etcd": "3.6.8"})
    (fix,) = result.fixes
    for setting in ("etcd to 3.6.12", " and ", "version to 1.36.3"):
        assert setting in fix


def test_a_known_bug_without_a_fixed_version_can_be_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    (found,) = versions.known(LabFile.model_validate({"kubernetes": {"version": "1.35.5"}}))
    open_end = found.affected.model_copy(update={"fixed": None})
    monkeypatch.setattr(versions, "known", lambda lab: [replace(found, affected=open_end)])
    result = run_check("known bugs", FakeHost(), kubernetes={"version": "1.35.5"})
    assert result.seen == "kubernetes 1.35.5: promotion-answered-too-late"
    assert list(result.fixes) == ["halab bugs show promotion-answered-too-late"]
