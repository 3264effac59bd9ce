"""scripts/verify-kvm: what it reads from the outputs of commands, what it leaves out of its archive, and its order."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"


def _load(name: str) -> ModuleType:
    loader = SourceFileLoader(name.replace("-", "_"), str(SCRIPTS / name))
    spec = spec_from_loader(loader.name, loader)
    assert spec
    module = module_from_spec(spec)
    sys.modules[loader.name] = module
    loader.exec_module(module)
    return module


@pytest.fixture(scope="module", autouse=True)
def _beside() -> Iterator[None]:
    """Scripts import the modules beside them."""
    sys.path.insert(0, str(SCRIPTS))
    yield
    sys.path.remove(str(SCRIPTS))


@pytest.fixture
def facts() -> Any:
    import kvm_facts

    return kvm_facts


@pytest.fixture
def checks() -> Any:
    import kvm_checks

    return kvm_checks


@pytest.fixture
def evidence(tmp_path: Path) -> Any:
    from evidence import Evidence

    folder = tmp_path / "verify-kvm-1"
    folder.mkdir()
    return Evidence(folder)


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    return _load("verify-kvm")


KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA\n-----END OPENSSH PRIVATE KEY-----\n"


@pytest.mark.parametrize("text", [
    f"a log line\n{KEY}",
    KEY[:60],  # the file ended within it
    "    client-key-data: c2VjcmV0",
    '{"token": "c2VjcmV0"}',
    "kubeadm join 10.0.0.5:6443 --token c2VjcmV0 --discovery-token-ca-cert-hash sha256:12",
    "kubeadm init --certificate-key=c2VjcmV0",
    "http_proxy=http://me:c2VjcmV0@proxy:3128",
    "Authorization: Bearer c2VjcmV0",
    "certificateKey: c2VjcmV0",
    'password = "c2VjcmV0"',
])  # fmt: skip
def test_keys_tokens_and_passwords_are_removed(text: str) -> None:
    from evidence import without_secrets

    cleaned = without_secrets(text)
    assert "[removed]" in cleaned
    assert not [secret for secret in ("c2VjcmV0", "b3BlbnNz") if secret in cleaned]


@pytest.mark.parametrize("token", ["abcdef.0123456789abcdef", "eyJhbGciOi.eyJpc3MiOi.c2lnbmF0dXJl"])
def test_tokens_without_a_name_are_removed(token: str) -> None:
    from evidence import without_secrets

    assert token not in without_secrets(f"joined with {token}")


def test_json_without_secrets_is_still_json() -> None:
    from evidence import without_secrets

    cleaned = without_secrets('{"token": "c2VjcmV0", "lab": "ha"}')
    assert json.loads(cleaned) == {"token": "[removed]", "lab": "ha"}


@pytest.mark.parametrize("text", [
    "the scenario passed: 798 acknowledged writes",
    '<seclabel type="dynamic" model="apparmor" relabel="yes"/>',
    "profile=\"libvirt-4d4f9b58-f50d-4f60-a8a1-315c9a2d02c1\" name=\"/var/lib/libvirt/images/disk\"",
    "https://10.213.7.10:6443/readyz",
])  # fmt: skip
def test_what_is_no_secret_stays(text: str) -> None:
    from evidence import without_secrets

    assert without_secrets(text) == text


def test_the_password_of_a_proxy_is_removed_wherever_it_is() -> None:
    from evidence import passwords_in, without_secrets

    passwords = passwords_in(
        {"https_proxy": "http://me:geh%23eim@proxy:3128", "HOME": "/root", "x": "http://["}
    )
    assert passwords == ["geh%23eim", "geh#eim"]
    assert without_secrets("proxy says no to geh#eim, geh%23eim", passwords) == (
        "proxy says no to [removed], [removed]"
    )


def test_a_file_that_still_looks_like_a_key_is_not_in_the_archive(evidence: Any, tmp_path: Path) -> None:
    log = tmp_path / "vagrant.log"
    # the beginning of the key is not in the part that is copied
    log.write_text(KEY.split("\n", 1)[1])
    evidence.copy(log, "up-logs/vagrant.log")
    evidence.write("summary.txt", "ok: host\n")
    (evidence.folder / "link").symlink_to("/etc/hostname")
    left_out = evidence.pack(tmp_path / "all.tar.gz")
    assert left_out == ["up-logs/vagrant.log"]
    with tarfile.open(tmp_path / "all.tar.gz") as tar:
        assert tar.getnames() == ["verify-kvm-1/summary.txt"]


def test_the_end_of_a_long_log_is_copied(
    evidence: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evidence.MOST_BYTES", 5)
    (tmp_path / "log").write_text("begin and end")
    evidence.copy(tmp_path / "log", "log")
    evidence.copy(tmp_path / "missing", "missing")
    assert [(path.name, path.read_text()) for path in evidence.folder.iterdir()] == [("log", "d end")]


def test_a_command_leaves_its_output_its_errors_and_its_end(evidence: Any) -> None:
    answer = evidence.run("try", ["sh", "-c", "echo out; echo error: broken >&2; exit 3"], limit_seconds=20)
    assert (answer.code, answer.output, answer.why) == (3, "out\n", "error: broken")
    written = (evidence.folder / "001-try.txt").read_text()
    assert written.startswith(
        "$ sh -c 'echo out; echo error: broken >&2; exit 3'\nout\n--- standard error\n"
    )
    assert "--- exit code 3, after" in written


def test_a_missing_command_and_a_silent_one_are_answers(evidence: Any) -> None:
    assert (
        evidence.run("gone", ["no-such-command-here"], limit_seconds=1).why
        == "not found: no-such-command-here"
    )
    late = evidence.run("late", ["sleep", "20"], limit_seconds=0.05)
    assert (late.succeeded, late.why) == (False, "no end within 0 s: sleep 20")
    assert "no end within" in (evidence.folder / "002-late.txt").read_text()


# libvirt's own test data, tests/domaincapsdata/qemu_10.0.0.x86_64.xml, shortened
CAPABILITIES = """<domainCapabilities>
  <path>/usr/bin/qemu-system-x86_64</path>
  <domain>kvm</domain>
  <machine>pc-i440fx-10.0</machine>
  <arch>x86_64</arch>
  <vcpu max='255'/>
  <os supported='yes'>
    <enum name='firmware'>
      <value>bios</value>
      <value>efi</value>
    </enum>
  </os>
  <cpu>
    <mode name='host-passthrough' supported='yes'>
      <enum name='hostPassthroughMigratable'>
        <value>on</value>
      </enum>
    </mode>
    <mode name='maximum' supported='yes'/>
  </cpu>
</domainCapabilities>
"""


def test_domain_capabilities_are_read(facts: Any) -> None:
    assert facts.domain_capabilities(CAPABILITIES) == {
        "domain": "kvm", "machine": "pc-i440fx-10.0", "arch": "x86_64", "host-passthrough": "yes",
        "firmware": "bios efi",
    }  # fmt: skip
    assert facts.domain_capabilities("error: failed to get emulator capabilities") == {}


def test_a_difference_of_capabilities_is_a_line(facts: Any) -> None:
    before, after = {"machine": "pc", "groups": "kvm"}, {"machine": "pc", "firmware": "bios"}
    assert facts.differences(before, after) == [
        "firmware: nothing before, bios now",
        "groups: kvm before, nothing now",
    ]
    assert facts.differences(before, before) == []


# The format of https://libvirt.org/formatdomain.html, with what halab's Vagrantfile asks for
DOMAIN = """<domain type='kvm' id='3'>
  <os><type arch='x86_64' machine='pc-i440fx-7.2'>hvm</type></os>
  <cpu mode='host-passthrough' check='none' migratable='on'/>
  <devices>
    <disk type='file' device='disk'><driver name='qemu' type='qcow2' cache='writethrough'/></disk>
  </devices>
  <seclabel type='dynamic' model='apparmor' relabel='yes'><label>libvirt-1</label></seclabel>
  <seclabel type='dynamic' model='dac' relabel='yes'><label>+64055:+64055</label></seclabel>
</domain>
"""


def test_the_definition_of_a_machine_is_read(facts: Any) -> None:
    assert facts.in_words(facts.machine(DOMAIN)) == (
        "domain kvm, machine pc-i440fx-7.2, cpu host-passthrough, disk cache writethrough, security apparmor dac"
    )
    assert facts.in_words(facts.machine("error: Domain not found")) == "nothing readable"


# fedora-selinux/selinux-policy, pull request 1559
SELINUX = (
    'type=AVC msg=audit(1668767748.175:184): avc:  denied  { module_request } for  pid=2361 comm="qemu-kvm" '
    'kmod="char-major-10-232" scontext=system_u:system_r:svirt_t:s0:c370,c450 '
    "tcontext=system_u:system_r:kernel_t:s0 tclass=system permissive=0"
)
# KVM-VMI/kvm-vmi, issue 69, shortened at the end
APPARMOR = (
    '[  795.691278] audit: type=1400 audit(1599150806.386:58): apparmor="DENIED" operation="exec" profile="libvirtd" '
    'name="/usr/local/bin/qemu-system-x86_64" pid=4525 comm="libvirtd" requested_mask="x" denied_mask="x"'
)
# a DENIED of another program and a STATUS are no denials to libvirt; of the same public logs, with other names
OTHERS = (
    '[24788.306981] audit: type=1400 audit(1474307220.159:212): apparmor="STATUS" operation="profile_replace" '
    'profile="unconfined" name="libvirt-b233f286-c032-4aea-8e72-2d8f17b950aa" pid=19945 comm="apparmor_parser"',
    'audit: type=1400 audit(1765794835.284:3): avc:  denied  { read } for  pid=1204 comm="alsactl" name="asound.state" '
    "scontext=system_u:system_r:alsa_t:s0-s0:c0.c1023 tcontext=system_u:object_r:unlabeled_t:s0 tclass=file",
)


def test_denials_to_libvirt_and_qemu_are_found_once_among_others(facts: Any) -> None:
    """The lines are from public reports: the comments above name them."""
    log = "\n".join([OTHERS[0], APPARMOR, OTHERS[1], SELINUX, SELINUX])
    assert facts.denials(log) == [APPARMOR, SELINUX]


def test_groups_are_read_from_id(facts: Any) -> None:
    printed = "uid=1000(ana) gid=1000(ana) groups=1000(ana),27(sudo),104(kvm),136(libvirt)\n"
    assert facts.groups_of(printed) == {"ana", "sudo", "kvm", "libvirt"}
    assert facts.groups_of("") == set()


@pytest.mark.parametrize(("asked", "answered", "clock", "state"), [
    (100.0, 101.0, 100.6, "ok"),
    (100.0, 101.0, 98.1, "ok"),  # 2.4 s behind, and the answer took a second
    (100.0, 101.0, 10.5, "failed"),  # the clock stood still for 90 s
    (100.0, 101.0, 104.0, "failed"),
])  # fmt: skip
def test_a_clock_may_differ_by_two_seconds_and_half_of_the_answer(
    facts: Any, asked: float, answered: float, clock: float, state: str
) -> None:
    difference, error = facts.clock_difference(asked, answered, clock)
    assert error == 0.5
    assert facts.clock_fact("cp1", difference, error).state == state


@pytest.mark.parametrize(("line", "state", "words"), [
    ("3 packets transmitted, 3 received, 0% packet loss, time 2003ms", "ok", "3 of 3 packets answered"),
    ("3 packets transmitted, 2 received, 33% packet loss, time 2031ms", "failed", "2 of 3 packets answered"),
    ("3 packets transmitted, 0 received, +3 errors, 100% packet loss", "failed", "0 of 3 packets answered"),
    ("error: the lab has no keys", "not shown", "ping printed no result"),
])  # fmt: skip
def test_every_ping_must_be_answered(facts: Any, line: str, state: str, words: str) -> None:
    fact = facts.ping_fact("cp1", "cp2", f"--- 10.213.7.12 ping statistics ---\n{line}\n")
    assert (fact.state, fact.what) == (state, f"cp1 → cp2: {words}")


def test_the_flags_that_matter_are_picked_from_cpuinfo(facts: Any) -> None:
    assert facts.processor_flags("processor\t: 0\nflags\t\t: fpu avx2 hypervisor nx\nbugs\t: x") == [
        "hypervisor",
        "avx2",
    ]
    assert facts.processor_flags("") == []


def test_one_control_plane_runs_what_it_can_show_and_names_the_rest(facts: Any) -> None:
    names, left_out = facts.scenarios_for(1)
    assert names == ["delay-api", "cut-power-of-all", "slow-disk-of-all", "shift-clock-of-all"]
    assert [fact.what.split(":")[0] for fact in left_out] == [
        "unplug-control-plane",
        "slow-etcd-disk",
        "starve-cpu",
    ]
    assert {fact.state for fact in left_out} == {"not shown"}
    assert facts.scenarios_for(3) == (
        ["unplug-control-plane", "cut-power-of-all", "slow-etcd-disk", "starve-cpu", "shift-clock-of-all"],
        [],
    )


def test_the_scenarios_exist_and_their_needs_are_those_of_their_files(facts: Any) -> None:
    from halab.config.loading import load
    from halab.config.scenario import Scenario

    for scenario in facts.SCENARIOS:
        needs = load(SCRIPTS.parent / f"scenarios/{scenario.name}.yml", Scenario).needs
        assert (max(needs.control_planes, needs.members) >= 3) == scenario.needs_three, scenario.name
        if scenario.instead:
            instead = load(SCRIPTS.parent / f"scenarios/{scenario.instead}.yml", Scenario).needs
            assert instead.control_planes == 1


@pytest.mark.parametrize("accel", ["kvm", "tcg"])
def test_the_lab_file_is_valid(facts: Any, tmp_path: Path, accel: str) -> None:
    from halab.config.lab import LabFile
    from halab.config.loading import load

    (tmp_path / "lab.yml").write_text(facts.lab_file("verify-kvm", accel, 1))
    assert str(load(tmp_path / "lab.yml", LabFile).accel) == accel


def test_a_check_fails_with_one_fact_and_shows_nothing_without_any(facts: Any) -> None:
    fact, state = facts.Fact, facts.State
    assert facts.worst([fact(state.OK, "a"), fact(state.FAILED, "b")]) == "failed"
    assert facts.worst([fact(state.NOT_SHOWN, "a"), fact(state.OK, "b")]) == "ok"
    assert facts.worst([]) == "not shown"
    assert facts.summary({"up": [fact(state.FAILED, "no box")]}) == "failed: up\n  failed: no box\n"


def test_a_check_that_needs_a_lab_gets_one(script: Any) -> None:
    assert script.chosen(["network"], []) == ["up", "network", "down"]
    assert script.chosen(["host"], []) == ["host"]
    assert script.chosen([], ["box", "kill"]) == [
        "host", "up", "snapshot", "network", "scenarios", "down", "host-again",
    ]  # fmt: skip


@pytest.mark.parametrize(("accel", "cores", "control_planes"), [("kvm", 2, 3), ("tcg", 2, 1), ("tcg", 8, 3)])
def test_a_small_host_emulates_one_control_plane(
    script: Any, monkeypatch: pytest.MonkeyPatch, accel: str, cores: int, control_planes: int
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    assert script.parse(["--accel", accel]).control_planes == control_planes


def test_a_broken_check_does_not_stop_the_next_and_an_interrupt_keeps_what_was_seen(
    script: Any, checks: Any, facts: Any, evidence: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(trial: object) -> Iterator[Any]:
        yield facts.Fact(facts.State.OK, "seen before")
        raise ZeroDivisionError("by design")

    def interrupted(trial: object) -> Iterator[Any]:
        yield facts.Fact(facts.State.OK, "seen")
        raise KeyboardInterrupt

    new = {
        "broken": checks.Check(broken),
        "lab": checks.Check(broken, needs_lab=True),
        "interrupted": checks.Check(interrupted),
    }
    monkeypatch.setattr(script, "CHECKS", new)
    results: dict[str, list[Any]] = {}
    trial = checks.Trial(evidence, tmp_path, "tcg", 1, 3)
    with pytest.raises(KeyboardInterrupt):
        script.run_checks(trial, list(new), results)
    assert [(name, [fact.what for fact in seen]) for name, seen in results.items()] == [
        ("broken", ["seen before", "the check itself broke: ZeroDivisionError: by design"]),
        ("lab", ["there is no lab: `up` failed or was skipped"]),
        ("interrupted", ["seen", "interrupted"]),
    ]
    assert "by design" in (evidence.folder / "broken-broken.txt").read_text()


def test_processes_that_work_in_the_folder_are_found(checks: Any, tmp_path: Path) -> None:
    proc = tmp_path / "proc"
    for pid, cwd in (
        ("7", "/tmp/lab/.halab"),
        ("8", "/tmp/lab"),
        ("9", "/tmp/lab2"),
        (str(os.getpid()), "/tmp/lab"),
    ):
        (proc / pid).mkdir(parents=True)
        (proc / pid / "cwd").symlink_to(cwd)
        (proc / pid / "cmdline").write_bytes(b"ruby\0vagrant\0up\0")
    assert checks.processes_in(Path("/tmp/lab"), proc) == ["7 ruby vagrant up", "8 ruby vagrant up"]


# A halab that is brought up forever, heals when it is interrupted, and notes its verbs.
FAKE_HALAB = """#!/bin/sh
echo "$1" >>"$NOTES"
case $1 in
  up) mkdir -p .halab/logs; echo "token: c2VjcmV0" >.halab/logs/vagrant.log
      trap 'echo healed >>"$NOTES"; exit 130' INT; echo ready >>"$NOTES"
      while :; do sleep 0.05; done ;;
esac
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_takes_the_lab_down_and_writes_the_archive(
    tmp_path: Path, number: signal.Signals
) -> None:
    # halab is looked for beside the Python that runs the script
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/halab").write_text(FAKE_HALAB)
    (tmp_path / "bin/halab").chmod(0o755)
    notes, folder = tmp_path / "notes", tmp_path / "work"
    folder.mkdir()
    start = (
        f"import runpy, sys; sys.executable = {str(tmp_path / 'bin/python')!r}\n"
        f"sys.path.insert(0, {str(SCRIPTS)!r}); sys.argv = ['verify-kvm', '--only', 'up']\n"
        f"runpy.run_path({str(SCRIPTS / 'verify-kvm')!r}, run_name='__main__')"
    )
    environment = {**os.environ, "NOTES": str(notes), "TMPDIR": str(folder)}
    # a command that a shell runs in the background ignores SIGINT, and so would its children
    child = subprocess.Popen(
        ["env", "--default-signal=INT", sys.executable, "-c", start], cwd=tmp_path, env=environment,
        stdout=subprocess.PIPE, text=True, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 20
    while "ready" not in (notes.read_text() if notes.exists() else "") and time.monotonic() < deadline:
        time.sleep(0.02)
    child.send_signal(number)
    output = child.communicate(timeout=30)[0]
    assert child.returncode == 130
    assert notes.read_text().split() == ["up", "ready", "healed", "down"]
    [archive] = tmp_path.glob("verify-kvm-*.tar.gz")
    assert str(archive) in output
    with tarfile.open(archive) as tar:
        texts = {Path(name).name: (tar.extractfile(name) or tar).read().decode() for name in tar.getnames()}  # type: ignore[union-attr]
    assert json.loads(texts["summary.json"])["interrupted"] is True
    assert texts["vagrant.log"] == "token: [removed]\n"
    assert not list(folder.iterdir())


class Lab:
    """Answers the commands of a check by their first words; records all of them."""

    def __init__(self, answers: dict[str, str]) -> None:
        self.answers, self.commands = answers, list[str]()

    def run(self, name: str, argv: list[Any], **_: Any) -> Any:
        from evidence import Answer

        command = " ".join(Path(word).name if index == 0 else str(word) for index, word in enumerate(argv))
        self.commands.append(command)
        known = next((text for words, text in self.answers.items() if words in command), None)
        return Answer(
            0 if known is not None else 1, known or "", "" if known is not None else "error: no", 1.0
        )

    def write(self, name: str, text: str) -> None:
        pass

    copy = write


STATUS = json.dumps(
    {"machines": [{"name": "lb1", "address": "10.1.1.10"}, {"name": "cp1", "address": "10.1.1.11"}]}
)


@pytest.mark.parametrize(
    ("behind", "reset", "state"), [(0.0, "ok", "ok"), (90.0, "ok", "failed"), (0.0, "failed", "failed")]
)
def test_a_clock_that_stood_still_during_a_snapshot_and_a_failed_reset_fail(
    checks: Any, facts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, behind: float, reset: str,
    state: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(checks, "SNAPSHOT_SECONDS", 0)
    answers = {"status": STATUS, "date": str(time.time() - behind), "snapshot": ""}
    lab = Lab({**answers, "reset": ""} if reset == "ok" else answers)
    seen = list(checks.snapshot(checks.Trial(lab, tmp_path, "tcg", 1, 3)))
    assert facts.worst(seen) == state
    assert [fact.what for fact in seen if "clock of cp1 after restore" in fact.what]
    assert [fact.state for fact in seen if fact.what.startswith("halab reset")] == [reset]
    assert [command for command in lab.commands if "snapshot" in command] == [
        f"halab snapshot {verb} verify" for verb in ("save", "restore", "delete")
    ]


def test_pings_say_which_firewall_was_active(checks: Any, tmp_path: Path) -> None:
    lab = Lab(
        {
            "docker info": "28.5.2",
            "status --json": STATUS,
            "ping": "3 packets transmitted, 3 received, 0% loss",
        }
    )
    seen = {
        fact.what.split(":")[0]: str(fact.state)
        for fact in checks.network(checks.Trial(lab, tmp_path, "kvm", 3, 1))
    }
    assert seen == {
        "docker is active on this host": "ok", "pings under ufw": "not shown", "pings under firewalld": "not shown",
        "lb1 → cp1": "ok", "cp1 → lb1": "ok",
    }  # fmt: skip


def test_a_failed_up_is_tried_again_and_stays_a_failure(
    checks: Any, facts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = Lab({"dmesg": ""})
    trial = checks.Trial(lab, tmp_path, "kvm", 3, 1)
    monkeypatch.setattr(trial, "domains", list, raising=False)
    seen = []
    for fact in checks.up(trial):
        seen.append(fact)
        # the second try succeeds
        lab.answers["halab up"] = ""
    assert [fact.what for fact in seen[:2]] == [
        "halab up, control planes: 3: error: no", "halab up again, which continues, control planes: 3: 1 s",
    ]  # fmt: skip
    assert (trial.is_up, facts.worst(seen)) == (True, "failed")
    assert lab.commands.count("halab up") == 2


def test_what_is_left_after_down_fails(checks: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "lab_objects", lambda lab: [f"halab-{lab}-ssh"])
    monkeypatch.setattr(checks, "processes_in", lambda folder: ["77 ruby vagrant up"])
    seen = list(checks.down(checks.Trial(Lab({"down": ""}), tmp_path, "kvm", 3, 1)))
    assert [(str(fact.state), fact.what) for fact in seen] == [
        ("ok", "halab down: 1 s"),
        ("failed", "down: still there: halab-verify-kvm-ssh"),
        ("failed", "down: still there: process 77 ruby vagrant up"),
    ]


def test_a_host_without_kvm_and_a_changed_host_fail(checks: Any, tmp_path: Path) -> None:
    doctor = json.dumps(
        {"checks": [{"name": "kvm", "needed": True, "state": "failed", "seen": "boots no guest"}]}
    )
    lab = Lab({"doctor": doctor, "id": "groups=1(ana),2(kvm)"})
    trial = checks.Trial(lab, tmp_path, "kvm", 3, 1)
    failed = [fact.what for fact in checks.host(trial) if fact.state == "failed"]
    assert failed == ["libvirt offers no kvm: error: no", "halab doctor: kvm: boots no guest"]
    lab.answers["domcapabilities"] = CAPABILITIES
    changes = [fact.what for fact in checks.host_again(trial) if fact.state == "failed"]
    assert "machine: nothing before, pc-i440fx-10.0 now" in changes


def test_logs_that_only_root_can_read_show_nothing(checks: Any, tmp_path: Path) -> None:
    trial = checks.Trial(Lab({}), tmp_path, "kvm", 3, 1)
    assert [str(fact.state) for fact in checks._denied(trial, [])] == ["not shown"]
    trial.evidence.answers["dmesg"] = f"{APPARMOR}\n{SELINUX}"
    # one was there before the lab
    assert [fact.what for fact in checks._denied(trial, [SELINUX])] == [f"denied: {APPARMOR}"]
    trial.evidence.answers["dmesg"] = "nothing"
    assert [str(fact.state) for fact in checks._denied(trial, [])] == ["ok"]


def test_an_empty_journal_is_no_proof(checks: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As journalctl of Debian 12 prints it in a container: the exit code is 0."""
    from evidence import Answer

    empty = Answer(0, "-- No entries --\n", "No journal files were found.\n", 0.2)
    missing = Answer(None, "", "", 0.0, "not found: dmesg")
    trial = checks.Trial(Lab({}), tmp_path, "kvm", 3, 1)
    monkeypatch.setattr(
        trial, "look_as_root", lambda name, *_: empty if name == "journal" else missing, raising=False
    )
    assert checks._denials(trial) == ([], False)


def test_an_up_that_starts_no_vagrant_is_named_with_its_error(
    checks: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    halab = tmp_path / "halab"
    halab.write_text(
        "#!/bin/sh\necho '… check this host (≤ 15 s)' >&2\necho 'error: no space' >&2\nexit 3\n"
    )
    halab.chmod(0o755)
    monkeypatch.setattr("halab_command.HALAB", halab)
    trial = checks.Trial(Lab({}), tmp_path, "kvm", 3, 1)
    assert [(str(fact.state), fact.what) for fact in checks.kill_up(trial)] == [
        ("failed", f"{when}: halab up started no Vagrant: error: no space")
        for when in ("as Vagrant starts", "when the first machine exists")
    ]
