"""Faults of the load balancer: it runs with what was written before they return, and with the lab's own after."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.fakes import Call, FakeClock, FakeGuests, lab_of
from support.site_builder import heal, inject, site_of

from halab.config.own_file import OwnFile
from halab.errors import BadFile, BadUsage, LabProblem, TimedOut, Unable
from halab.faults.catalogue import FAULTS
from halab.faults.journal import Entry
from halab.faults.site import Site
from halab.faults.targets import require_target
from halab.process import Completed
from halab.topology.balancer import from_file, from_settings

NGINX: dict[str, Any] = {"load_balancer": {"kind": "nginx"}}


def lb(settings: str) -> FakeGuests:
    """A load balancer whose old worker ends a moment after its new one has come."""
    return FakeGuests(
        {"ls -tr": settings, r"halab-new": "332\n", "pgrep -P": ["332\n", "332\n400\n", "400\n"]}
    )


def pushed(guests: FakeGuests) -> str:
    """The configuration that was written last."""
    return [call.input or "" for call in guests.calls if "halab-new" in call.command][-1]


def edited(written: dict[str, Any], **options: str) -> str:
    """The configuration of a load balancer of a lab file, with other settings."""
    lab = lab_of(load_balancer=written)
    return from_settings(lab, lab.load_balancer.changed(options)).text


def test_haproxy_is_rendered_with_other_settings() -> None:
    text = edited({}, check="tcp", idle_timeout="5s", connections="20")
    assert "httpchk" not in text
    for line in ("timeout client 5s", "timeout server 5s", "timeout tunnel 5s", "  maxconn 20\n"):
        assert line in text
    assert "httpchk" in edited({"check": "tcp"}, check="readyz")


def test_nginx_is_rendered_with_other_settings() -> None:
    text = edited({"kind": "nginx"}, idle_timeout="5s", connections="20")
    for line in ("proxy_timeout 5s;", "worker_processes 1;", "worker_connections 42;"):
        assert line in text


def test_the_limit_of_clients_does_not_apply_to_statistics() -> None:
    text = edited({}, connections="5")
    assert (
        text.index("frontend kube-apiserver")
        < text.index("  maxconn 5\n")
        < text.index("frontend statistics")
    )


def test_an_edited_balancer_is_waited_for_until_its_old_workers_have_ended() -> None:
    guests = lb("check=tcp\n")
    _, seen = inject(site_of(guests), "edit-balancer", "lb1", check="tcp")
    assert seen == "haproxy runs with check=tcp"
    assert "httpchk" not in pushed(guests)
    assert sum("pgrep -P" in command for command in guests.commands("lb1")) == 4


def test_a_balancer_that_keeps_its_old_workers_is_a_fault_without_effect() -> None:
    guests = FakeGuests({"ls -tr": "check=tcp\n", "pgrep -P": "332\n"})
    with pytest.raises(TimedOut, match="the old workers still run: 332"):
        inject(site_of(guests), "edit-balancer", "lb1", check="tcp")


def test_a_balancer_that_does_not_run_reads_its_configuration_when_it_starts() -> None:
    guests = FakeGuests({"ls -tr": "check=tcp\n"})
    inject(site_of(guests), "edit-balancer", "lb1", check="tcp")
    assert "systemctl is-active -q haproxy.service" in guests.commands("lb1")[-1]


def test_settings_of_several_faults_hold_at_once() -> None:
    guests = lb("check=tcp\nidle_timeout=5s\n")
    inject(site_of(guests), "edit-balancer", "lb1", idle_timeout="5s")
    assert "httpchk" not in pushed(guests)
    assert "timeout client 5s" in pushed(guests)


def test_a_healed_balancer_keeps_the_settings_of_open_faults() -> None:
    guests = lb("idle_timeout=5s\n")
    guests.answers = {"echo changed": "changed\n", **guests.answers}
    heal(site_of(guests), Entry("42", "edit-balancer", "lb1", {"check": "tcp"}))
    assert "httpchk" in pushed(guests)
    assert "timeout client 5s" in pushed(guests)
    first, *_, last = guests.commands("lb1")
    assert "rm -f /var/lib/halab/42/balancer-settings" in first
    assert "rm -rf /var/lib/halab/42" in last


def test_a_balancer_that_was_never_edited_is_not_reloaded() -> None:
    guests = FakeGuests()
    heal(site_of(guests), Entry("42", "edit-balancer", "lb1", {"check": "tcp"}))
    assert len(guests.calls) == 1


@pytest.mark.parametrize("fault", ["edit-balancer", "edit-keepalived"])
def test_an_edit_without_settings_is_refused(fault: str) -> None:
    options = ", ".join(FAULTS[fault].options)
    assert list(FAULTS[fault].problems_with({})) == [f"{fault} changes nothing: set {options}"]


def test_settings_of_two_faults_need_not_fit_together() -> None:
    guests = lb("check=none\nfall=5\n")
    inject(site_of(guests), "edit-balancer", "lb1", fall="5")
    assert "default-server" not in pushed(guests)


@pytest.mark.parametrize(
    ("written", "options", "why"),
    [
        ({}, {"check": "none", "fall": "5"}, "fall has no effect with `check: none`"),
        ({}, {"port": "22"}, "port is used for SSH to the machine: choose another port than 22"),
        (NGINX, {"rise": "2"}, "rise nginx tries a failed server again after `interval`"),
    ],
)
def test_settings_that_are_not_possible_are_refused(
    written: dict[str, Any], options: dict[str, str], why: str
) -> None:
    with pytest.raises(BadUsage, match=f"edit-balancer is not possible here: {why}"):
        inject(site_of(FakeGuests(), **written), "edit-balancer", "lb1", **options)


def test_nginx_has_no_check_to_edit() -> None:
    with pytest.raises(
        BadUsage, match="nginx has no health checks, it only counts failed connections: leave check out"
    ):
        inject(site_of(FakeGuests(), **NGINX), "edit-balancer", "lb1", check="tcp")


def test_connections_count_as_held_when_the_kernel_counts_them() -> None:
    guests = FakeGuests({"ss -Htnp": ["0\n", "120\n", "300\n"]})
    entry, seen = inject(site_of(guests), "hold-connections", "cp2", count="300")
    assert seen == "300 connections are open"
    start = guests.commands("cp2")[0]
    assert f"--unit=halab-hold-{entry.id}.service" in start
    assert "10.213.7.10 6443 300" in start


def test_a_full_balancer_is_an_effect() -> None:
    guests = FakeGuests({"ss -Htnp": ["10\n", "37\n"]})
    site = site_of(guests)
    _, seen = inject(site, "hold-connections", "cp2", count="300")
    assert seen == "37 connections are open, of 300 that were tried: no more are accepted"
    assert isinstance(site.clock, FakeClock)
    assert 4 < sum(site.clock.slept) < 6


def test_no_connection_at_all_is_no_effect() -> None:
    with pytest.raises(TimedOut, match="0 connections are open"):
        inject(site_of(FakeGuests({"ss -Htnp": "0\n"})), "hold-connections", "cp2", count="300")


def test_a_heal_closes_the_connections_and_removes_the_files() -> None:
    guests = FakeGuests({"": ""})
    heal(site_of(guests), Entry("42", "hold-connections", "cp2", {"count": "300"}))
    (call,) = guests.calls
    assert "systemctl stop halab-hold-42.service" in call.command
    assert "rm -rf /var/lib/halab/42" in call.command


# a whole configuration

OWN = "defaults\n  mode tcp\nlisten api\n  bind :6443\n  server a {cp1}:6443\n"
EDITS = "for path in"


def own_lab(text: str = "global\n") -> Site:
    site = site_of(lb(""), load_balancer={"config": "haproxy.cfg"})
    return replace(site, lab=replace(site.lab, balancer_file=OwnFile(Path("haproxy.cfg"), text)))


def test_a_whole_configuration_replaces_that_of_the_lab() -> None:
    guests = lb("")
    _, seen = inject(site_of(guests), "edit-balancer", "lb1", config=OWN)
    assert seen == "haproxy runs with the configuration of the fault"
    assert pushed(guests).startswith(f"{OWN}\n# Added by halab")
    kept = next(command for command in guests.commands("lb1") if "balancer-original" in command)
    # the original is complete before the fault says what it wants
    assert kept.index("/balancer-original &&") < kept.index("cat >/var/lib/halab")


def test_a_configuration_is_tested_before_it_replaces_the_one_in_use() -> None:
    guests = lb("")
    inject(site_of(guests), "edit-balancer", "lb1", config=OWN)
    (command,) = (command for command in guests.commands("lb1") if "mv -f /etc" in command)
    assert command.index("haproxy -c -f /etc/haproxy/haproxy.cfg.halab-new") < command.index("mv -f /etc")


def test_a_healed_balancer_has_the_configuration_that_was_there() -> None:
    guests = lb("")
    guests.answers = {"echo changed": "changed\n/var/lib/halab/42/balancer-original\n", **guests.answers}
    heal(site_of(guests), Entry("42", "edit-balancer", "lb1", {"config": OWN}))
    (command,) = (command for command in guests.commands("lb1") if "mv -f /etc" in command)
    assert command.startswith("cat /var/lib/halab/42/balancer-original >/etc/haproxy/haproxy.cfg.halab-new")


def test_a_healed_setting_leaves_the_configuration_of_an_open_fault() -> None:
    guests = FakeGuests(
        {
            "echo changed": "changed\n",
            EDITS: "file=/var/lib/halab/43/balancer-file\n",
            "halab-new": "332\n",
            "pgrep -P": "400\n",
        }
    )
    heal(site_of(guests), Entry("42", "edit-balancer", "lb1", {"check": "tcp"}))
    (command,) = (command for command in guests.commands("lb1") if "mv -f /etc" in command)
    assert command.startswith("cat /var/lib/halab/43/balancer-file >")


def test_no_setting_is_changed_while_another_fault_has_replaced_the_configuration() -> None:
    guests = FakeGuests({EDITS: "file=/var/lib/halab/43/balancer-file\n"})
    with pytest.raises(LabProblem, match="another fault has replaced the configuration"):
        inject(site_of(guests), "edit-balancer", "lb1", check="tcp")
    assert not any("cat >" in command for command in guests.commands("lb1"))


def test_single_settings_of_an_own_configuration_cannot_be_changed() -> None:
    with pytest.raises(Unable, match="runs with haproxy.cfg, in which halab cannot change single settings"):
        inject(own_lab(), "edit-balancer", "lb1", check="tcp")


def test_an_own_configuration_can_be_replaced_by_another_one() -> None:
    site = own_lab("listen stats\n  bind :8404\n")
    inject(site, "edit-balancer", "lb1", config=OWN)
    assert isinstance(site.guests, FakeGuests)
    # where the run reads the states
    assert "bind 10.213.7.10:8405" in pushed(site.guests)


def test_a_configuration_and_settings_exclude_each_other() -> None:
    wrong = list(FAULTS["edit-balancer"].problems_with({"config": OWN, "check": "tcp"}))
    assert wrong == ["config replaces the whole configuration: leave check out"]


def test_a_configuration_that_haproxy_rejects_is_reported_with_its_lines() -> None:
    said = (
        "[ALERT]    (7) : config : parsing [/etc/haproxy/haproxy.cfg.halab-new:2] : unknown keyword 'mood'\n"
    )
    guests = FakeGuests({"mv -f /etc": Completed(1, "", said)})
    with pytest.raises(BadFile) as raised:
        inject(site_of(guests), "edit-balancer", "lb1", config="defaults\n  mood tcp\n")
    assert raised.value.message == "edit-balancer.config:2: unknown keyword 'mood': mood tcp"
    assert "lb1 still runs with the configuration before" in str(raised.value.hint)


def test_old_workers_that_linger_are_ended() -> None:
    """A configuration without hard-stop-after keeps them for as long as a connection is open."""
    guests = FakeGuests({"halab-new": "332\n"})
    ended: list[str] = []

    def workers(call: Call) -> str:
        return "400\n" if ended else "332\n400\n"

    def end(call: Call) -> str:
        ended.append(call.command)
        return ""

    guests.answers |= {"kill -TERM": end, "pgrep -P": workers}
    site = site_of(guests)
    inject(site, "edit-balancer", "lb1", config=OWN)
    assert ended == ["kill -TERM 332"]
    assert isinstance(site.clock, FakeClock)
    assert sum(site.clock.slept) > 5


def test_the_load_balancer_of_one_node_can_have_other_settings() -> None:
    site = site_of(FakeGuests(), load_balancer={"kind": "local"})
    require_target(site.lab, FAULTS["edit-balancer"], {}, "cp2")
    file = from_file(site.lab, OwnFile(Path("h.cfg"), "frontend a\n  bind 127.0.0.1:7445\n"))
    assert "bind 127.0.0.1:8404\n" in file.text and "transparent" not in file.text
    with pytest.raises(BadUsage, match="edit-balancer needs the load balancer"):
        require_target(lab_of(), FAULTS["edit-balancer"], {}, "cp2")
