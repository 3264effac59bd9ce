"""What each check makes of a host, and how it says to put it right."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support.doctor_results import found
from support.fake_host import DATA, GIB, KVM, LIBVIRT_SOCKET, SOCKET, SYSTEMD, FakeHost, bundle_of, place_of

from halab.config.kubernetes import RELEASES, BundleSource
from halab.doctor import examine, require
from halab.doctor.check import CheckState
from halab.doctor.kvm_guest import Boot
from halab.errors import Corrupted, HostProblem
from halab.images.manifest import FileRecord


def test_a_host_that_lacks_nothing_passes_every_check() -> None:
    for provider in ("docker", "libvirt"):
        # only root can see the firewall
        report = examine(place_of(provider=provider), FakeHost(is_root=True))
        assert [result.name for result in report.results if result.state is not CheckState.OK] == []
        assert report.could_run


def test_every_check_has_a_name_of_its_own() -> None:
    names = [result.name for result in examine(place_of(), FakeHost()).results]
    assert len(names) == len(set(names))


def test_every_failure_has_a_fix() -> None:
    report = examine(place_of(provider="libvirt"), bare_host())
    assert [
        result.name for result in report.results if result.state is CheckState.FAILED and not result.fixes
    ] == []


def bare_host() -> FakeHost:
    nothing = HostProblem("no docker engine answers")
    return FakeHost(
        tools=set(), packages={}, there=set(), engine_facts=nothing, cached_bundle=False, has_box=False, free=0,
        obstacles={BundleSource.RELEASE: HostProblem("no answer", hint="go online"),
                   BundleSource.MODULES: HostProblem("no Go", hint="install Go")},
    )  # fmt: skip


@pytest.mark.parametrize("version", ["2.3.4", "2.4.9", "2.3.8.dev"])
def test_a_vagrant_that_was_tried_or_a_newer_one_is_well(version: str) -> None:
    host = FakeHost()
    host.outputs["vagrant --version"] = f"Vagrant {version}\n"
    assert found("vagrant", host).state is CheckState.OK


def test_a_vagrant_that_is_too_old_fails() -> None:
    host = FakeHost()
    host.outputs["vagrant --version"] = "Vagrant 2.2.19\n"
    result = found("vagrant", host)
    assert result.state is CheckState.FAILED
    assert result.seen == "2.2.19, older than 2.3.4"


def test_a_python_vagrant_that_cannot_be_imported_fails() -> None:
    result = found("python-vagrant", FakeHost(unimportable={"vagrant": "No module named 'six'"}))
    assert result.seen == "1.0.0 is installed and cannot be imported: No module named 'six'"
    assert "--force-reinstall 'python-vagrant>=1.0,<1.1'" in result.fixes[0]


def test_a_missing_tool_names_the_package_that_brings_it() -> None:
    host = FakeHost()
    host.tools.remove("ssh-keygen")
    result = found("ssh", host)
    assert result.seen == "not found: ssh-keygen"
    assert list(result.fixes) == ["sudo apt-get install -y --no-install-recommends openssh-client"]


def test_root_needs_no_sudo() -> None:
    host = FakeHost(is_root=True)
    host.tools.remove("ip")
    assert list(found("iproute2", host).fixes) == ["apt-get install -y --no-install-recommends iproute2"]


def test_another_python_vagrant_than_1_0_fails() -> None:
    assert found("python-vagrant", FakeHost(packages={"python-vagrant": "1.1.0"})).state is CheckState.FAILED


def test_no_socket_says_how_an_engine_is_started() -> None:
    result = found("docker access", FakeHost(there={SYSTEMD}))
    assert result.state is CheckState.FAILED
    assert list(result.fixes) == ["sudo systemctl enable --now docker"]


def test_without_an_init_system_an_engine_of_its_own_is_offered() -> None:
    (way,) = found("docker access", FakeHost(there=set())).fixes
    assert way.startswith("scripts/bare-host run halab up")


def test_a_socket_of_others_says_how_to_join_its_group() -> None:
    host = FakeHost(forbidden={SOCKET})
    assert list(found("docker access", host).fixes) == ["sudo usermod -aG docker ada  # then log in again"]
    assert found("docker engine", host).state is CheckState.SKIPPED


def test_the_socket_that_docker_host_names_is_looked_at() -> None:
    host = FakeHost(variables={"DOCKER_HOST": "unix:///run/mine.sock"})
    result = found("docker access", host)
    assert result.seen == "no such socket: /run/mine.sock"
    assert result.fixes[0].startswith("unset DOCKER_HOST")


def test_an_engine_that_does_not_answer_fails_alone() -> None:
    report = examine(place_of(), FakeHost(engine_facts=HostProblem("no docker engine answers")))
    assert [each.name for each in report.results if each.state is CheckState.FAILED] == ["docker engine"]


def test_a_rootless_engine_fails() -> None:
    facts = FakeHost().engine()
    assert (
        found("docker engine", FakeHost(engine_facts=replace(facts, is_rootless=True))).state
        is CheckState.FAILED
    )


def test_an_engine_on_another_host_is_reached_by_ssh_alone() -> None:
    host = FakeHost(variables={"DOCKER_HOST": "tcp://elsewhere:2375"})
    assert found("docker host", host).state is CheckState.WARNING
    host.variables["DOCKER_HOST"] = "ssh://ada@elsewhere"
    assert found("docker host", host).state is CheckState.OK


def test_of_an_engine_elsewhere_this_hosts_memory_says_nothing() -> None:
    host = FakeHost(
        variables={"DOCKER_HOST": "ssh://ada@elsewhere"}, texts={"/proc/meminfo": "MemAvailable: 1 kB\n"}
    )
    assert found("memory", host).seen == "not asked: machines are on ada@elsewhere"
    host.variables.clear()
    assert found("memory", host).state is CheckState.FAILED


def test_a_docker_context_that_only_the_command_follows_fails() -> None:
    host = FakeHost(variables={"HOME": "/home/ada"})
    host.texts["/home/ada/.docker/config.json"] = '{"currentContext": "desktop-linux"}'
    assert found("docker command", host).state is CheckState.FAILED
    host.variables["DOCKER_HOST"] = f"unix://{SOCKET}"
    assert found("docker command", host).state is CheckState.OK


@pytest.mark.parametrize(
    ("available", "state"),
    [(12 * 1024, CheckState.OK), (4 * 1024, CheckState.WARNING), (1024, CheckState.FAILED)],
)
def test_memory_is_compared_with_what_the_lab_takes(available: int, state: CheckState) -> None:
    host = FakeHost()
    host.texts["/proc/meminfo"] = f"MemAvailable:   {available * 1024} kB\n"
    assert found("memory", host).state is state


def test_a_smaller_lab_fits_where_a_larger_one_does_not() -> None:
    host = FakeHost()
    host.texts["/proc/meminfo"] = f"MemAvailable:   {1024 * 1024} kB\n"
    assert found("memory", host, control_planes=1).state is CheckState.WARNING


def test_a_lab_that_runs_has_its_memory_already() -> None:
    host = FakeHost(machines_up=4)
    host.texts["/proc/meminfo"] = "MemAvailable:   102400 kB\n"
    assert found("memory", host).state is CheckState.OK


def test_a_full_disk_of_the_engine_fails() -> None:
    assert found("engine disk", FakeHost(free=GIB)).state is CheckState.FAILED


def test_the_disk_of_an_engine_elsewhere_is_not_asked() -> None:
    assert found("engine disk", FakeHost(there={SOCKET})).state is CheckState.SKIPPED
    host = FakeHost(variables={"DOCKER_HOST": "tcp://10.0.0.9:2375"}, there={DATA}, free=0)
    assert found("engine disk", host).state is CheckState.SKIPPED


def test_the_cache_needs_room_only_for_what_is_not_in_it() -> None:
    assert found("cache disk", FakeHost(free=GIB)).state is CheckState.OK
    assert found("cache disk", FakeHost(free=5 * GIB, has_box=False)).state is CheckState.OK
    assert found("cache disk", FakeHost(free=5 * GIB, cached_bundle=False)).state is CheckState.FAILED


@pytest.mark.parametrize(
    ("limit", "state"), [(512, CheckState.OK), (128, CheckState.WARNING), (64, CheckState.FAILED)]
)
def test_inotify_instances_are_compared_with_what_the_lab_takes(limit: int, state: CheckState) -> None:
    host = FakeHost()
    host.texts["/proc/sys/fs/inotify/max_user_instances"] = f"{limit}\n"
    assert found("inotify", host).state is state


def test_a_limit_is_raised_now_and_for_later() -> None:
    host = FakeHost()
    host.texts["/proc/sys/fs/inotify/max_user_instances"] = "128\n"
    assert list(found("inotify", host).fixes) == [
        "sudo sysctl -w fs.inotify.max_user_instances=512 | sudo tee -a /etc/sysctl.d/60-halab.conf"
    ]


def test_a_kernel_short_of_files_fails() -> None:
    host = FakeHost()
    host.texts["/proc/sys/fs/file-nr"] = "9000\t0\t10000\n"
    assert found("open files", host).state is CheckState.FAILED


def test_a_network_in_use_says_whose_and_what_to_write() -> None:
    host = FakeHost(lab_network=HostProblem("the network is in use", hint="write `network: auto`"))
    result = found("network", host)
    assert (result.seen, list(result.fixes)) == ("the network is in use", ["write `network: auto`"])


def test_a_name_that_another_lab_has_fails() -> None:
    result = found("name", FakeHost(other_lab=Path("/labs/other/.halab")))
    assert result.seen == "another lab on this host is called ha: /labs/other"


def test_a_missing_bundle_is_a_warning_where_a_source_answers() -> None:
    host = FakeHost(cached_bundle=False, obstacles={BundleSource.RELEASE: HostProblem("no answer")})
    result = found("bundle", host)
    assert result.state is CheckState.WARNING
    assert "builds it with Go" in result.seen
    assert list(result.fixes) == ["halab bundle build --kubernetes 1.37"]


def test_a_bundle_without_a_source_gives_every_reason() -> None:
    result = found("bundle", bare_host())
    assert result.seen == "not in the cache, and no source for it: release: no answer; modules: no Go"
    assert list(result.fixes) == ["release: go online", "modules: install Go"]


def test_only_the_source_of_the_lab_file_counts() -> None:
    host = FakeHost(
        cached_bundle=False, obstacles={BundleSource.RELEASE: HostProblem("no answer", hint="wait")}
    )
    assert found("bundle", host, kubernetes={"source": "release"}).state is CheckState.FAILED


def test_a_bundle_with_a_file_cut_short_fails(tmp_path: Path) -> None:
    whole, short = tmp_path / "kubelet", tmp_path / "kubectl"
    whole.write_text("1234")
    short.write_text("12")
    records = {each.name: FileRecord(size=4, sha256="0" * 64, origin=["a test"]) for each in (whole, short)}
    plain = bundle_of(RELEASES["1.37"], tmp_path)
    cut = replace(plain, manifest=plain.manifest.model_copy(update={"files": records}))
    result = found("bundle", FakeHost(cached_bundle=cut))
    assert result.seen == "missing or cut short: kubectl"
    assert list(result.fixes) == ["halab bundle build --kubernetes 1.37 --force"]


def test_an_unreadable_bundle_fails_every_check_that_reads_it_in_its_words() -> None:
    host = FakeHost(cached_bundle=Corrupted("the manifest is no JSON"))
    assert found("bundle", host).seen == "the manifest is no JSON"
    assert found("box", host).state is CheckState.FAILED


def test_a_missing_box_is_built_by_root_alone() -> None:
    assert found("box", FakeHost(has_box=False, is_root=True)).state is CheckState.WARNING
    result = found("box", FakeHost(has_box=False))
    assert result.state is CheckState.FAILED
    assert list(result.fixes) == ['sudo -E "$(command -v halab)" box build debian-12 --kubernetes 1.37']


def test_what_libvirt_needs_never_stops_a_lab_of_containers() -> None:
    host = FakeHost(
        there={SOCKET, DATA, KVM, LIBVIRT_SOCKET}, booted=Boot(["real mode"], "protected mode", "gave up after 10 s"),
        libvirt_facts=HostProblem("no libvirt answers"),
    )  # fmt: skip
    report = examine(place_of(), host)
    assert report.could_run
    assert [each.name for each in report.results if each.state is CheckState.FAILED] == ["kvm", "libvirt"]


def test_a_guest_that_stops_tells_where_and_how() -> None:
    host = FakeHost(booted=Boot(["real mode"], "protected mode", "gave up after 10 s"))
    assert found("kvm", host).seen == (
        "/dev/kvm opens, and a tiny guest comes as far as real mode, "
        "not to the end of protected mode: gave up after 10 s"
    )


def test_without_qemu_kvm_is_not_judged() -> None:
    host = FakeHost()
    host.tools.remove("qemu-system-x86_64")
    result = found("kvm", host)
    assert result.state is CheckState.SKIPPED
    assert list(result.fixes) == ["sudo apt-get install -y --no-install-recommends qemu-system-x86"]
    assert host.guests == []


@pytest.mark.parametrize(
    ("flags", "fix"),
    [("flags: fpu svm", "kvm_amd"), ("flags: vmx", "kvm_intel"), ("flags: fpu", "firmware")],
)
def test_no_kvm_device_says_what_this_processor_needs(flags: str, fix: str) -> None:
    host = FakeHost(there={SOCKET})
    host.texts["/proc/cpuinfo"] = flags
    assert fix in found("kvm", host).fixes[0]


def test_a_lab_that_wants_no_kvm_does_not_try_it() -> None:
    host = FakeHost()
    assert found("kvm", host, provider="libvirt", accel="tcg").state is CheckState.SKIPPED
    assert host.guests == []


def test_libvirt_that_is_not_there_is_skipped_unless_the_lab_asks_for_it() -> None:
    host = bare_host()
    for name in ("libvirt access", "libvirt-python", "qemu", "dnsmasq"):
        assert found(name, host).state is CheckState.SKIPPED
        assert found(name, host, provider="libvirt").state is CheckState.FAILED
    assert found("libvirt", host, provider="libvirt").seen == "not asked, for want of access"


def test_a_lab_of_virtual_machines_is_not_stopped_by_what_containers_lack() -> None:
    report = examine(place_of(provider="libvirt"), FakeHost(engine_facts=HostProblem("no engine")))
    assert [each.name for each in report.results if each.stops_the_lab] == []


def test_a_box_that_is_cut_short_fails() -> None:
    result = found("box", FakeHost(has_box=Corrupted("cut short: /cache/box/root.tar")))
    assert (result.state, result.seen) == (CheckState.FAILED, "cut short: /cache/box/root.tar")
    assert list(result.fixes) == [
        'sudo -E "$(command -v halab)" box build debian-12 --kubernetes 1.37 --force'
    ]


def test_a_box_of_a_virtual_machine_needs_more_to_be_built() -> None:
    lacks = HostProblem("not found: sfdisk", hint="sudo apt-get install fdisk")
    result = found("box", FakeHost(has_box=False, is_root=True, box_lacks=lacks), provider="libvirt")
    assert result.seen == "not in the cache, and nothing to build it with: not found: sfdisk"
    build = "halab box build debian-12 --provider libvirt --kubernetes 1.37"
    assert list(result.fixes) == [f"sudo apt-get install fdisk && {build}"]


def test_an_answer_in_another_form_is_no_crash() -> None:
    host = FakeHost()
    host.texts["/proc/sys/fs/file-nr"] = "many 0 9000\n"
    result = found("open files", host)
    assert result.state is CheckState.FAILED
    assert result.seen.startswith("an answer that halab does not understand: ValueError")
    assert result.fixes


def test_the_clock_is_as_systemd_says() -> None:
    host = FakeHost()
    assert found("clock", host).state is CheckState.OK
    host.outputs["timedatectl show --property=NTPSynchronized"] = "NTPSynchronized=no\n"
    result = found("clock", host)
    assert result.state is CheckState.WARNING
    assert result.fixes[0] == "sudo timedatectl set-ntp true"


@pytest.mark.parametrize(
    ("said", "state"),
    [("Leap status     : Normal\n", CheckState.OK), ("Leap status     : Not synchronised\n", CheckState.WARNING),
     ("506 Cannot talk to daemon\n", CheckState.SKIPPED)],
)  # fmt: skip
def test_without_systemd_the_clock_is_as_chrony_says(said: str, state: CheckState) -> None:
    host = FakeHost(there=set())
    host.tools.add("chronyc")
    host.outputs["chronyc -n tracking"] = said
    assert found("clock", host).state is state


def test_a_clock_of_which_nothing_tells_is_skipped() -> None:
    host = FakeHost()
    host.outputs["timedatectl show --property=NTPSynchronized"] = HostProblem("the bus is down")
    result = found("clock", host)
    assert result.state is CheckState.SKIPPED
    assert result.fixes[0].startswith("date --utc")
    host.there.add(Path("/run/systemd/timesync/synchronized"))
    assert found("clock", host).state is CheckState.OK


def test_require_is_silent_where_nothing_is_lacking() -> None:
    require(place_of(), FakeHost())


def test_require_names_every_failed_check_with_its_fix() -> None:
    host = FakeHost(there=set())
    host.tools -= {"vagrant", "ip"}
    with pytest.raises(HostProblem) as raised:
        require(place_of(), host)
    assert raised.value.message.splitlines() == [
        "this host cannot run the lab",
        "vagrant: not found: vagrant",
        "iproute2: not found: ip",
        "docker access: no such socket: /var/run/docker.sock",
    ]
    assert raised.value.hint is not None
    assert "iproute2: sudo apt-get install -y --no-install-recommends iproute2" in raised.value.hint


def test_require_does_not_boot_a_guest_for_a_lab_of_containers() -> None:
    host = FakeHost()
    assert require(place_of(), host) == []
    assert host.guests == []


def test_require_boots_a_guest_where_machines_are_to_be_accelerated() -> None:
    host = FakeHost(booted=Boot(["real mode"], "protected mode", "gave up after 10 s"))
    with pytest.raises(HostProblem, match="/dev/kvm opens, and a tiny guest") as raised:
        require(place_of(provider="libvirt"), host)
    assert raised.value.hint is not None
    assert "kvm: provider: docker" in raised.value.hint
    assert "or: accel: tcg" in raised.value.hint
    assert require(place_of(provider="libvirt", accel="tcg"), host) == []


def test_require_asks_whether_vagrant_has_its_plugin() -> None:
    host = FakeHost()
    host.outputs["vagrant plugin list"] = "No plugins installed.\n"
    with pytest.raises(HostProblem, match="not installed: vagrant-libvirt"):
        require(place_of(provider="libvirt"), host)
    require(place_of(), host)
