"""What scripts/verify-kvm reads from the outputs of commands. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from xml.etree import ElementTree

# Below this, a clock is right: `halab` sets clocks over SSH, and a step of the clock takes a moment.
CLOCK_SECONDS = 2.0
# The flags that show what a guest's processor can do, of the hundred that it has.
_FLAGS = ("hypervisor", "constant_tsc", "nonstop_tsc", "tsc_known_freq", "aes", "avx2", "vmx", "svm")
_DENIED = re.compile(r'apparmor="DENIED"|avc:\s+denied')
_OURS = re.compile(r"libvirt|qemu|svirt|virtqemud|virtnetworkd|dnsmasq|vhost")


class State(StrEnum):
    OK = "ok"
    FAILED = "failed"
    NOT_SHOWN = "not shown"


@dataclass(frozen=True)
class Fact:
    """One line of what a check saw."""

    state: State
    what: str


@dataclass(frozen=True)
class Scenario:
    """A scenario to run; `instead` is one for a lab with one control plane, if there is any."""

    name: str
    needs_three: bool = True
    instead: str = ""


SCENARIOS = (
    Scenario("unplug-control-plane", instead="delay-api"),
    Scenario("cut-power-of-all", needs_three=False),
    Scenario("slow-etcd-disk", instead="slow-disk-of-all"),
    Scenario("starve-cpu"),
    Scenario("shift-clock-of-all", needs_three=False),
)


def lab_file(name: str, accel: str, control_planes: int) -> str:
    lines = [f"name: {name}", "provider: libvirt", f"accel: {accel}", f"control_planes: {control_planes}"]
    if accel == "tcg":
        lines += ["patience: 10", "machines: {lb: {memory: 256M}}"]
    return "\n".join(lines) + "\n"


def groups_of(identity: str) -> set[str]:
    """The names in the output of `id`."""
    _, _, groups = identity.partition("groups=")
    return set(re.findall(r"\d+\(([^)]+)\)", groups))


def domain_capabilities(xml: str) -> dict[str, str]:
    """What libvirt offers to a guest: its type, machine, and whether the processor can be passed through."""
    try:
        tree = ElementTree.fromstring(xml)
    except ElementTree.ParseError:
        return {}
    seen = {name: tree.findtext(name, "") for name in ("domain", "machine", "arch")}
    for mode in tree.iterfind("./cpu/mode"):
        if mode.get("name") == "host-passthrough":
            seen["host-passthrough"] = mode.get("supported", "")
    values = tree.iterfind("./os/enum[@name='firmware']/value")
    seen["firmware"] = " ".join(value.text or "" for value in values)
    return {name: value for name, value in seen.items() if value}


def machine(xml: str) -> dict[str, str]:
    """What a machine is, from its definition in libvirt."""
    try:
        tree = ElementTree.fromstring(xml)
    except ElementTree.ParseError:
        return {}
    cpu, kind, disk = tree.find("cpu"), tree.find("./os/type"), tree.find("./devices/disk/driver")
    seen = {
        "domain": tree.get("type", ""),
        "machine": "" if kind is None else kind.get("machine", ""),
        "cpu": "" if cpu is None else " ".join(filter(None, (cpu.get("mode"), cpu.findtext("model")))),
        "disk cache": "" if disk is None else disk.get("cache", ""),
        "security": " ".join(label.get("model", "") for label in tree.iterfind("seclabel")),
    }
    return {name: value for name, value in seen.items() if value}


def in_words(seen: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in seen.items()) or "nothing readable"


def differences(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """What differs, one line each."""
    return [
        f"{name}: {before.get(name, 'nothing')} before, {after.get(name, 'nothing')} now"
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]


def processor_flags(cpuinfo: str) -> list[str]:
    """The flags of the first processor that tell a passed-through one from an emulated one."""
    line = re.search(r"^flags\s*:(.*)$", cpuinfo, re.MULTILINE)
    flags = set(line[1].split()) if line else set()
    return [flag for flag in _FLAGS if flag in flags]


def denials(text: str) -> list[str]:
    """The lines in which AppArmor or SELinux denied something to libvirt, qemu or dnsmasq."""
    return list(
        dict.fromkeys(
            line.strip() for line in text.splitlines() if _DENIED.search(line) and _OURS.search(line)
        )
    )


def clock_difference(asked: float, answered: float, clock: float) -> tuple[float, float]:
    """How far a clock is ahead of ours, and how far that may be wrong: half of the time that the answer took."""
    return round(clock - (asked + answered) / 2, 2), round((answered - asked) / 2, 2)


def clock_fact(name: str, difference: float, error: float) -> Fact:
    is_right = abs(difference) <= CLOCK_SECONDS + error
    words = f"the clock of {name} differs by {difference:+.2f} s from this host's (± {error:.2f} s)"
    return Fact(State.OK if is_right else State.FAILED, words)


def ping_fact(source: str, target: str, output: str) -> Fact:
    """What `ping` printed: every packet must arrive."""
    line = re.search(r"(\d+) packets transmitted, (\d+) (?:packets )?received", output)
    if line is None:
        return Fact(State.NOT_SHOWN, f"{source} → {target}: ping printed no result")
    sent, received = int(line[1]), int(line[2])
    state = State.OK if sent and received == sent else State.FAILED
    return Fact(state, f"{source} → {target}: {received} of {sent} packets answered")


def scenarios_for(control_planes: int) -> tuple[list[str], list[Fact]]:
    """The scenarios to run on a lab of this size, and what that leaves out."""
    if control_planes >= 3:
        return [scenario.name for scenario in SCENARIOS], []
    names, left_out = [], []
    for scenario in SCENARIOS:
        if not scenario.needs_three:
            names.append(scenario.name)
            continue
        also = f"; {scenario.instead} runs instead" if scenario.instead else ""
        left_out.append(Fact(State.NOT_SHOWN, f"{scenario.name}: it needs three control planes{also}"))
        names += [scenario.instead] if scenario.instead else []
    return names, left_out


def worst(facts: Iterable[Fact]) -> State:
    """The state of a check: failed if one fact is, not shown if nothing else was learned."""
    states = [fact.state for fact in facts]
    if State.FAILED in states:
        return State.FAILED
    return State.OK if State.OK in states else State.NOT_SHOWN


def summary(results: Mapping[str, Sequence[Fact]]) -> str:
    """All checks with their facts, for people."""
    lines = []
    for name, facts in results.items():
        lines.append(f"{worst(facts)}: {name}")
        lines += [f"  {fact.state}: {fact.what}" for fact in facts]
    return "\n".join(lines) + "\n"
