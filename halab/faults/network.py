"""Faults of a machine's network: a pulled plug, partitions, lost or slow packets.

All of them act only on the NIC of the lab's network. SSH uses another network and keeps working.
"""

from __future__ import annotations

import json
from ipaddress import IPv4Address

from halab.clock import NotYet, wait_for
from halab.config.lab_traits import Capability
from halab.config.targets import EVERYONE, FaultTarget
from halab.errors import BadUsage, LabProblem
from halab.faults import packet_filter
from halab.faults.fault import Fault, Option
from halab.faults.journal import Entry
from halab.faults.packet_filter import Direction, Filter, nic_of
from halab.faults.site import Site
from halab.machines.power import PowerState

_EFFECT_SECONDS = 30
# The resolution of a share in nft: a hundredth of a percent.
_STEPS = 10_000
# A bucket holds 10 ms of traffic, and never less than a few full packets.
_BURST_SECONDS = 0.01
_SMALLEST_BURST_BYTES = 10_000
_UNITS = {"kbit": 1e3, "mbit": 1e6, "gbit": 1e9}
_SHAPERS = ("tbf", "netem")

_FROM = Option("machines, `others` or `everyone`", example="others", default=EVERYONE, is_target=True)
_PORT = Option("the number of a TCP or UDP port", r"[1-9]\d{0,4}", "2380", default="")
_DELAY = r"\d+(\.\d+)?(ms|s)"


def _cut_link(site: Site, entry: Entry) -> str:
    nic = nic_of(site.guests, site.lab, entry.machine)
    site.power.link(entry.machine, up=False)
    _wait_for_carrier(site, entry.machine, nic, "0")
    return f"{nic} has no carrier"


def _mend_link(site: Site, entry: Entry) -> None:
    site.power.link(entry.machine, up=True)
    if not _is_off(site, entry):
        nic = nic_of(site.guests, site.lab, entry.machine)
        _wait_for_carrier(site, entry.machine, nic, "1")


def _wait_for_carrier(site: Site, machine: str, nic: str, wanted: str) -> None:
    def reached() -> None:
        seen = site.guests.run(machine, f"cat /sys/class/net/{nic}/carrier").output.strip()
        if seen != wanted:
            raise NotYet(f"its carrier is {seen}")

    deadline = site.deadline(_EFFECT_SECONDS)
    wait_for(f"the carrier of {nic} on {machine} to be {wanted}", reached, deadline, every_seconds=0.2)


def _partition(site: Site, entry: Entry) -> str:
    loaded = _load(site, entry, "")
    addresses = _addresses(site, entry, loaded)

    def cut_off() -> str:
        left = packet_filter.answering(site.guests, entry.machine, addresses, loaded.port)
        if left:
            raise NotYet(f"still answering: {', '.join(left)}")
        dropped = packet_filter.dropped(site.guests, entry.machine, loaded.table)
        return f"no answer from {', '.join(map(str, addresses))}; packets dropped: {dropped}"

    what = f"{entry.machine} to be cut off"
    return wait_for(what, cut_off, site.deadline(_EFFECT_SECONDS), every_seconds=0.1)


def _lose_packets(site: Site, entry: Entry) -> str:
    share = float(entry.options["share"].rstrip("%"))
    return _drop_some(site, entry, f"numgen random mod {_STEPS} < {round(share / 100 * _STEPS)}")


def _drop_large_packets(site: Site, entry: Entry) -> str:
    return _drop_some(site, entry, f"meta length > {entry.options['over']}")


def _drop_some(site: Site, entry: Entry, condition: str) -> str:
    loaded = _load(site, entry, condition)
    addresses = _addresses(site, entry, loaded)

    def some_dropped() -> str:
        packet_filter.knock(site.guests, entry.machine, addresses, loaded.port)
        dropped = packet_filter.dropped(site.guests, entry.machine, loaded.table)
        if not dropped:
            raise NotYet("no packet was dropped")
        return f"packets dropped so far: {dropped}"

    what = f"{entry.machine} to drop packets"
    return wait_for(what, some_dropped, site.deadline(_EFFECT_SECONDS), every_seconds=0.1)


def _load(site: Site, entry: Entry, condition: str) -> Filter:
    source = entry.options["from"]
    loaded = Filter(
        _table(entry),
        nic_of(site.guests, site.lab, entry.machine),
        () if source == EVERYONE else tuple(site.lab.machine(name) for name in source.split(",")),
        Direction(entry.options.get("direction", Direction.BOTH)),
        entry.options.get("port", ""),
        condition,
    )
    packet_filter.load(site.guests, entry.machine, loaded)
    return loaded


def _addresses(site: Site, entry: Entry, loaded: Filter) -> list[IPv4Address]:
    """The addresses that a filter blocks. For `everyone`: the host and the other machines."""
    others = [machine.address for machine in site.lab.machines if machine.name != entry.machine]
    return [peer.address for peer in loaded.peers] or [site.lab.gateway, *others]


def _remove_filter(site: Site, entry: Entry) -> None:
    if not _is_off(site, entry):
        packet_filter.remove(site.guests, entry.machine, _table(entry))


def _table(entry: Entry) -> str:
    return f"halab_{entry.id}"


def _limit_rate(site: Site, entry: Entry) -> str:
    rate = entry.options["rate"]
    bits = float(rate[:-4]) * _UNITS[rate[-4:]]
    burst = max(_SMALLEST_BURST_BYTES, round(bits / 8 * _BURST_SECONDS))
    return _shape(site, entry, f"tbf rate {rate} burst {burst} latency 400ms")


def _delay_packets(site: Site, entry: Entry) -> str:
    words = ["netem", "limit", str(_STEPS), "delay", entry.options["by"], entry.options.get("jitter", "")]
    return _shape(site, entry, " ".join(words).rstrip())


def _shape(site: Site, entry: Entry, discipline: str) -> str:
    """Add a queue for what the machine sends. The kernel refuses a second one."""
    nic = nic_of(site.guests, site.lab, entry.machine)
    site.guests.run(entry.machine, f"tc qdisc add dev {nic} root handle {_handle(entry)}: {discipline}")
    return f"{nic} sends through {discipline}"


def _unshape(site: Site, entry: Entry) -> None:
    """Remove only our own queue: its handle comes from the fault's id."""
    if not _is_off(site, entry):
        nic, handle = nic_of(site.guests, site.lab, entry.machine), _handle(entry)
        site.guests.run(
            entry.machine,
            f"! tc qdisc show dev {nic} root | grep -qF ' {handle}: ' || "
            f"tc qdisc del dev {nic} root handle {handle}:",
        )


def _require_no_shaper(site: Site, entry: Entry) -> None:
    nic = nic_of(site.guests, site.lab, entry.machine)
    output = site.guests.run(entry.machine, f"tc -json qdisc show dev {nic} root").output
    try:
        kinds = [str(queue["kind"]) for queue in json.loads(output) if queue["kind"] in _SHAPERS]
    except (ValueError, LookupError, TypeError) as error:
        raise LabProblem(
            f"`tc` on {entry.machine} did not print a list of queues: {output[:200]!r}"
        ) from error
    if kinds:
        raise BadUsage(
            f"{nic} of {entry.machine} is already limited or delayed: {', '.join(kinds)}",
            hint="heal that fault first",
        )


def _handle(entry: Entry) -> str:
    """Four hexadecimal digits. Small numbers and ffff are reserved by the kernel."""
    return f"{0x1000 + int(entry.id, 16) % 0xE000:x}"


def _is_off(site: Site, entry: Entry) -> bool:
    """Filters and queues are gone when the machine is off."""
    return site.power.state(entry.machine) in (PowerState.OFF, PowerState.GONE)


FAULTS = (
    Fault(
        "cut-link",
        "Unplug a machine's NIC on the lab's network, until it is healed.",
        _cut_link,
        _mend_link,
        target=FaultTarget.ANY,
    ),
    Fault(
        "partition",
        "Drop all packets between a machine and others, or only those of one port, in both directions or one, "
        "until it is healed.",
        _partition,
        _remove_filter,
        {
            "from": _FROM,
            "direction": Option(
                "both, in or out, seen from the machine", "both|in|out", default=Direction.BOTH
            ),
            "port": _PORT,
        },
        target=FaultTarget.ANY,
    ),
    Fault(
        "lose-packets",
        "Drop a share of the packets between a machine and others, in both directions, until it is healed.",
        _lose_packets,
        _remove_filter,
        {
            "share": Option("a share below 100%", r"(?!0+(\.0+)?%)\d{1,2}(\.\d{1,2})?%", "30%"),
            "from": _FROM,
            "port": _PORT,
        },
        target=FaultTarget.ANY,
        needs=frozenset({Capability.NFT_NUMGEN}),
    ),
    Fault(
        "delay-packets",
        "Delay every packet that a machine sends on the lab's network, until it is healed.",
        _delay_packets,
        _unshape,
        {
            "by": Option("a time", _DELAY, "100ms"),
            "jitter": Option("a time by which the delay varies", _DELAY, "20ms", default=""),
        },
        target=FaultTarget.ANY,
        needs=frozenset({Capability.NETEM}),
        check=_require_no_shaper,
    ),
    Fault(
        "limit-rate",
        "Limit the bits per second that a machine sends on the lab's network, until it is healed.",
        _limit_rate,
        _unshape,
        {"rate": Option("bits a second", r"[1-9]\d*(kbit|mbit|gbit)", "1mbit")},
        target=FaultTarget.ANY,
        needs=frozenset({Capability.TBF}),
        check=_require_no_shaper,
    ),
    Fault(
        "drop-large-packets",
        "Drop packets above a size, like a path with a smaller MTU whose ICMP messages are lost.",
        _drop_large_packets,
        _remove_filter,
        {
            "over": Option("bytes, 500 to 1499 (a full packet has 1500)", r"[5-9]\d\d|1[0-4]\d\d", "1400"),
            "from": _FROM,
            "port": _PORT,
        },
        target=FaultTarget.ANY,
    ),
)
