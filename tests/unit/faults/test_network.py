"""Faults of a machine's network: on the lab's NIC alone, seen from the machine, and gone after the heal."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from support.fake_power import FakePower
from support.fakes import Call, FakeClock, FakeGuests, lab_of

from halab.errors import BadUsage, LabProblem, TimedOut
from halab.faults import injection, packet_filter
from halab.faults.catalogue import FAULTS
from halab.faults.journal import Entry
from halab.faults.packet_filter import Direction, Filter
from halab.faults.site import Site
from halab.machines.power import PowerState

LAB = lab_of(name="ha")
NICS = json.dumps(
    [
        {"ifname": "eth0", "addr_info": [{"local": "172.17.0.3"}]},
        {"ifname": "eth1", "addr_info": [{"local": str(LAB.machine("cp2").address)}]},
    ]
)
ASKED = r"\|\| nft delete|tc qdisc del"


class Network(FakeGuests):
    """A machine that has a filter or a queue once one was loaded; `dropped` is what the filter counts each time."""

    def __init__(
        self, *, dropped: list[int] | None = None, answer: str = "", queue: str = "noqueue"
    ) -> None:
        counts = [self._counted(count) for count in dropped or [7]]
        super().__init__(
            {
                "ip -json": NICS,
                "nft -j list counter": list(counts),
                "for each in": answer,
                "tc -json qdisc": json.dumps([{"kind": queue}]),
                "carrier": self._carrier,
            }
        )
        self.power = FakePower(LAB)

    @property
    def loaded(self) -> str:
        (found,) = (call.input for call in self.calls if call.command == "nft -f -")
        return str(found)

    def _carrier(self, call: Call) -> str:
        return "0\n" if call.machine in self.power.unplugged else "1\n"

    @staticmethod
    def _counted(packets: int) -> str:
        return json.dumps({"nftables": [{"metainfo": {}}, {"counter": {"packets": packets}}]})


def site_of(network: Network) -> Site:
    unused: Any = None
    return Site(LAB, network, FakeClock(), network.power, unused)


def inject(network: Network, fault: str, **options: str) -> str:
    given = {name.rstrip("_"): value for name, value in options.items()}
    assert list(FAULTS[fault].problems_with(given)) == []
    site = site_of(network)
    return FAULTS[fault].inject(site, injection.plan(site, fault, "cp2", given))


def heal(network: Network, fault: str) -> list[str]:
    """What a heal runs on the machine."""
    before = len(network.calls)
    FAULTS[fault].heal(site_of(network), Entry("0a1b2c3d4e5f", fault, "cp2", {}))
    return [call.command for call in network.calls[before:]]


def rules(text: str) -> list[str]:
    return re.findall(r"^ +(\S+ \"eth1\".*)$", text, re.MULTILINE)


def test_a_partition_from_everyone_drops_all_packets() -> None:
    network = Network()
    assert inject(network, "partition").endswith("packets dropped: 7")
    assert rules(network.loaded) == [
        'iifname "eth1" counter name dropped drop',
        'oifname "eth1" counter name dropped drop',
    ]
    asked = next(each for each in network.commands("cp2") if "for each in" in each)
    assert "for each in 10.213.7.1 10.213.7.10 10.213.7.11 10.213.7.13;" in asked


def test_a_partition_from_machines_includes_their_pods() -> None:
    network = Network()
    inject(network, "partition", from_="cp1,lb1", direction="in")
    assert rules(network.loaded) == [
        'iifname "eth1" ip saddr { 10.213.7.11, 10.244.11.0/24, 10.213.7.10 } counter name dropped drop'
    ]


def test_a_partition_of_a_port_drops_packets_from_and_to_the_port() -> None:
    network = Network()
    inject(network, "partition", from_="cp1", direction="out", port="2380")
    assert [re.sub(r".*th ", "", each) for each in rules(network.loaded)] == [
        "dport 2380 counter name dropped drop",
        "sport 2380 counter name dropped drop",
    ]
    assert 'nc -z -w 1 "$each" 2380' in "".join(network.commands("cp2"))


def test_a_partition_is_waited_for_until_nobody_answers() -> None:
    with pytest.raises(TimedOut, match=r"cp2 to be cut off; last seen: still answering: 10\.213\.7\.11"):
        inject(Network(answer="10.213.7.11\n"), "partition", from_="cp1")


def test_packets_are_dropped_before_connections_and_services_are_looked_up() -> None:
    text = Filter("halab_1", "eth1", ()).text()
    assert text.count("priority -310;") == 2
    assert "hook prerouting" in text and "hook postrouting" in text


@pytest.mark.parametrize(
    ("fault", "options", "condition"),
    [
        ("lose-packets", {"share": "30%"}, "numgen random mod 10000 < 3000"),
        ("lose-packets", {"share": "0.5%"}, "numgen random mod 10000 < 50"),
        ("drop-large-packets", {"over": "1400"}, "meta length > 1400"),
    ],
)
def test_some_packets_are_dropped_and_counted(fault: str, options: dict[str, str], condition: str) -> None:
    network = Network(dropped=[0, 0, 3])
    assert inject(network, fault, **options) == "packets dropped so far: 3"
    assert all(f" {condition} counter name dropped drop" in each for each in rules(network.loaded))


def test_a_filter_that_drops_nothing_is_a_fault_without_effect() -> None:
    with pytest.raises(TimedOut, match="no packet was dropped"):
        inject(Network(dropped=[0]), "lose-packets", share="1%")


@pytest.mark.parametrize("share", ["0%", "0.0%", "100%", "30", "-1%", "1.234%"])
def test_a_share_is_above_nothing_and_below_everything(share: str) -> None:
    assert list(FAULTS["lose-packets"].problems_with({"share": share}))


@pytest.mark.parametrize("over", ["499", "1500", "9000", "1e3"])
def test_an_impossible_packet_size_is_refused(over: str) -> None:
    assert list(FAULTS["drop-large-packets"].problems_with({"over": over}))


@pytest.mark.parametrize(
    ("rate", "burst"), [("100kbit", 10_000), ("1mbit", 10_000), ("100mbit", 125_000), ("1gbit", 1_250_000)]
)
def test_a_rate_is_limited_with_a_bucket_of_10_ms(rate: str, burst: int) -> None:
    network = Network()
    inject(network, "limit-rate", rate=rate)
    assert f": tbf rate {rate} burst {burst} latency 400ms" in network.commands("cp2")[-1]


def test_packets_are_delayed_with_or_without_jitter() -> None:
    plain, uneven = Network(), Network()
    inject(plain, "delay-packets", by="100ms")
    inject(uneven, "delay-packets", by="0.1s", jitter="20ms")
    assert plain.commands("cp2")[-1].endswith(": netem limit 10000 delay 100ms")
    assert uneven.commands("cp2")[-1].endswith(": netem limit 10000 delay 0.1s 20ms")


@pytest.mark.parametrize("queue", ["tbf", "netem"])
def test_one_nic_is_limited_or_delayed_once(queue: str) -> None:
    for fault, options in (("limit-rate", {"rate": "1mbit"}), ("delay-packets", {"by": "1s"})):
        with pytest.raises(BadUsage, match=f"eth1 of cp2 is already limited or delayed: {queue}"):
            inject(Network(queue=queue), fault, **options)


def test_a_filter_is_removed_by_its_own_name() -> None:
    for fault in ("partition", "lose-packets", "drop-large-packets"):
        (command,) = heal(Network(), fault)
        assert command.endswith("|| nft delete table inet halab_0a1b2c3d4e5f")


def test_a_queue_is_removed_by_its_own_handle() -> None:
    network = Network()
    inject(network, "limit-rate", rate="1mbit")
    added = re.search(r"handle (\w+):", network.commands("cp2")[-1])
    command = heal(network, "limit-rate")[-1]
    assert added and re.fullmatch(r"[1-9a-f][0-9a-f]{3}", added[1])
    assert re.search(r"\|\| tc qdisc del dev eth1 root handle [1-9a-f][0-9a-f]{3}:$", command)


@pytest.mark.parametrize("state", [PowerState.OFF, PowerState.GONE])
@pytest.mark.parametrize("fault", ["partition", "lose-packets", "limit-rate", "delay-packets", "cut-link"])
def test_a_machine_that_is_off_has_no_network_faults_to_heal(fault: str, state: PowerState) -> None:
    network = Network()
    network.power.states["cp2"] = state
    assert heal(network, fault) == []


def test_a_pulled_plug_is_waited_for_on_both_ways() -> None:
    network = Network()
    assert inject(network, "cut-link") == "eth1 has no carrier"
    assert network.power.unplugged == {"cp2"}
    heal(network, "cut-link")
    heal(network, "cut-link")
    assert network.power.unplugged == set()


def test_a_nic_is_found_by_the_address_of_the_machine() -> None:
    assert packet_filter.nic_of(FakeGuests({"": NICS}), LAB, "cp2") == "eth1"
    with pytest.raises(
        LabProblem, match=r"no NIC of cp1 has its address on the lab's network: 10\.213\.7\.11"
    ):
        packet_filter.nic_of(FakeGuests({"": NICS}), LAB, "cp1")


@pytest.mark.parametrize("printed", ["", "no such file", "{}", "[{}]"])
def test_unexpected_output_of_a_tool_is_shown(printed: str) -> None:
    with pytest.raises(LabProblem):
        packet_filter.nic_of(FakeGuests({"": printed}), LAB, "cp2")
    if printed != "[{}]":
        with pytest.raises(LabProblem):
            packet_filter.dropped(FakeGuests({"": printed}), "cp2", "halab_1")


def test_directions_are_those_of_the_machine() -> None:
    both, only_in, only_out = (Filter("t", "eth1", (), each).text() for each in Direction)
    assert "incoming" in both and "outgoing" in both
    assert "outgoing" not in only_in
    assert "incoming" not in only_out
