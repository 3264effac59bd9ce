"""A drill on a real lab: what a learner could find of its solution, and how it goes on when the host has rebooted."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from support.cli_driver import UserLab, lab_in

LAB = "e2e-secrets"
MACHINES = ("lb1", "cp1")
# Every secret part of the drill has this word, and nothing that the break changes has it.
SECRET = "hedgehog"
REPAIR = "sed -i s/:7443$/:6443/ /etc/haproxy/haproxy.cfg && systemctl reload haproxy"
DRILL = f"""\
title: Nobody reaches the API
difficulty: easy
course: mine
estimated_time: 10m
requires: {{load_balancer: haproxy}}
initial_situation: kubectl cannot connect.
objective: It can connect again.
break:
  # these keep files on the machine, to heal it
  - {{inject: edit-balancer, name: slow, on: lb, with: {{idle_timeout: 55s}}}}
  - {{inject: edit-manifest, name: loud, on: cp1, with: {{pod: kube-scheduler, flag: "--v=3"}}}}
  - inject: run-script
    name: {SECRET}-door
    on: lb
    with:
      script: |
        : {SECRET}
        sed -i s/:6443$/:7443/ /etc/haproxy/haproxy.cfg
        systemctl restart haproxy
      undo: "true {SECRET}"
  - expect: {{probe: ready-via-lb, fails: within 10s}}
tasks:
  reachable: {{text: The API answers., points: 40, expect: {{probe: ready-via-lb, ok: within 15s}}}}
  once:
    text: The API has answered at a check.
    points: 30
    mode: edge
    expect: {{probe: write-via-lb, ok: within 15s}}
  word: {{text: "Which word is it?", points: 30, answer: {SECRET}}}
hints:
  - {{text: The first word is {SECRET}., cost: 5}}
solve:
  - {{on: lb, run: ": {SECRET}; {REPAIR}"}}
wrong:
  restart: [{{on: lb, run: ": {SECRET}; systemctl restart haproxy"}}]
debrief: It was the {SECRET}.
"""

# Print the files of a machine that have the word, and what else shows it: processes with their variables, and the log.
SEARCH = f"""
word={SECRET}
grep -rIl "$word" /etc /home /opt /root /run /srv /tmp /usr/local /var/backups /var/lib/kubelet /var/log /var/tmp
ps axeww | grep "$word" | grep -v grep
journalctl --no-pager --quiet | grep "$word"
ls -d /var/lib/halab/*-* /etc/kubernetes/halab-held
true
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, state_home: None) -> Iterator[UserLab]:
    folder = tmp_path_factory.mktemp("secrets")
    (folder / "mine.yml").write_text(DRILL)
    yield from lab_in(folder, f"name: {LAB}\ncontrol_planes: 1\n")


@pytest.mark.nightly
def test_nothing_tells_the_solution_and_a_reboot_of_the_host_does_not_end_the_drill(lab: UserLab) -> None:
    before = {machine: run_on(machine, SEARCH) for machine in MACHINES}
    started = lab.halab("drill", "start", "./mine.yml")
    assert started.code == 0
    drill = lab.folder / ".halab" / "drill"
    assert stat.S_IMODE(drill.stat().st_mode) == 0o700
    assert SECRET in (drill / "drill.yml").read_text(), "the search would find nothing anywhere"

    refused = lab.halab("drill", "start", "unreachable-api")
    assert refused.code == 3
    assert "a drill is running" in refused.errors

    checked = lab.halab("drill", "check", "--json")
    assert checked.code == 1
    assert states(json.loads(checked.output)) == {
        "reachable": "not-yet",
        "once": "not-yet",
        "word": "not-yet",
    }
    asked = (
        "drill status",
        "drill status --json",
        "drill list",
        "drill history",
        "status",
        "status --json",
        "list",
    )
    told = [lab.halab(*words.split()) for words in asked]
    assert not [each for each in (started, checked, refused, *told) if SECRET in f"{each}"]

    [sampler] = samplers(lab)
    shown = subprocess.run(["ps", "axeww"], capture_output=True, text=True, check=True, timeout=60).stdout
    assert str(sampler) in shown.split()
    assert SECRET not in shown
    assert files_with_secret(lab.folder) <= {"mine.yml"}
    for machine in MACHINES:
        assert run_on(machine, SEARCH) == before[machine], machine
        # halab runs everything with sudo, which logs it: the last that is in the log says that it shall not
        logged = run_on(machine, "journalctl --no-pager --quiet _COMM=sudo").rpartition(
            "/etc/sudoers.d/halab-drill"
        )
        assert logged[1], "the log is not there"
        assert "COMMAND=" not in logged[2], machine

    # the host loses its power: nothing of halab and no machine runs
    os.kill(sampler, signal.SIGKILL)
    subprocess.run(
        ["docker", "kill", *(f"halab-{LAB}-{machine}" for machine in MACHINES)],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    assert lab.status()["drill_is_on"]
    lab.ok("start")
    run_on("lb1", REPAIR)
    lab.wait_until_steady()
    assert lab.status()["drill_is_on"]
    repaired = json.loads(lab.halab("drill", "check", "--json").output)
    assert states(repaired) == {"reachable": "done", "once": "done", "word": "not-yet"}
    assert len(samplers(lab)) == 1, "after the reboot, the clients are recorded again"
    # a task of the mode `edge` has held once, and that is enough
    run_on("lb1", "sed -i s/:6443$/:7443/ /etc/haproxy/haproxy.cfg && systemctl restart haproxy")
    broken = json.loads(lab.halab("drill", "check", "--json").output)
    assert states(broken) == {"reachable": "not-yet", "once": "done", "word": "not-yet"}

    run_on("lb1", REPAIR)
    lab.ok("drill", "answer", "word", SECRET)
    ended = json.loads(lab.ok("drill", "check", "--json"))
    assert (ended["verdict"], ended["score"], ended["ending"]) == ("pass", 100, "complete")
    assert SECRET in ended["debrief"]
    moments = [moment["text"] for moment in ended["timeline"] if moment["kind"] != "clients"]
    assert moments == [
        "check 1: nothing has changed",
        "check 2: reachable and once are done",
        "check 3: reachable is no longer done",
        f"answer to word: {SECRET} (right)",
        "check 4: reachable is done",
    ]
    saw = ended["clients"]["ready-via-lb"]
    assert 0 < saw["failed"] < saw["asked"]
    assert saw["unknown"], "while the host was off, nothing was recorded"
    assert samplers(lab) == []
    status = lab.status()
    assert (status["drill_is_on"], status["steady"]) == (False, True)


def run_on(machine: str, script: str) -> str:
    """Run a script as root over docker, which leaves no trace on the machine. Return what it printed."""
    command = ["docker", "exec", "--interactive", f"halab-{LAB}-{machine}", "bash", "-s"]
    done = subprocess.run(command, input=script, capture_output=True, text=True, timeout=120, check=False)
    print(f"$ on {machine}\n{script}{done.stdout}{done.stderr}")
    return done.stdout


def states(told: dict[str, list[dict[str, str]]]) -> dict[str, str]:
    return {task["name"]: task["state"] for task in told["tasks"]}


def samplers(lab: UserLab) -> list[int]:
    """The processes that record the clients of the drill: they write into its folder."""
    folder = str(lab.folder / ".halab" / "drill" / "clients")
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if any(str(opened.readlink()).startswith(folder) for opened in (process / "fd").iterdir()):
                found.append(int(process.name))
    return found


def files_with_secret(folder: Path) -> set[str]:
    """The files of the lab that tell the solution, apart from the folder of the drill."""
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and ".halab/drill/" not in f"{path}" and SECRET.encode() in path.read_bytes()
    }
