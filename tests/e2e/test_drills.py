"""Short drills on a real lab: a wrong attempt, the solution, a responder, and the lab restored."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from support.cli_driver import HALAB, UserLab

DRILL = "unreachable-api"
RESPONDER = Path(__file__).parents[2] / "docs" / "examples" / "restore-etcd-port.sh"


def test_a_learner_tries_something_wrong_then_solves_the_drill_and_the_lab_is_put_back(
    haproxy_lab: UserLab,
) -> None:
    told = json.loads(haproxy_lab.ok("drill", "start", DRILL, "--json"))
    assert {task["state"] for task in told["tasks"]} == {"not-yet"}

    status = haproxy_lab.status()
    assert (status["drill_is_on"], status["open_faults"]) == (True, [])
    refused = haproxy_lab.halab("heal")
    assert refused.code == 3
    assert "a drill is running" in refused.errors

    haproxy_lab.ok("ssh", "lb1", "--", "sudo systemctl restart haproxy")
    wrong = haproxy_lab.halab("drill", "check", "--json")
    assert wrong.code == 1
    assert json.loads(wrong.output)["score"] == 0

    repair = "sudo sed -i s/:7443$/:6443/ /etc/haproxy/haproxy.cfg && sudo systemctl reload haproxy"
    haproxy_lab.ok("ssh", "lb1", "--", repair)
    haproxy_lab.ok("drill", "answer", "port", "7443")
    solved = json.loads(haproxy_lab.ok("drill", "check", "--json"))
    assert (solved["verdict"], solved["score"], solved["ending"]) == ("pass", 100, "complete")

    status = haproxy_lab.status()
    assert (status["drill_is_on"], status["steady"]) == (False, True)
    [outcome] = json.loads(haproxy_lab.ok("drill", "history", "--json"))
    assert (outcome["drill"], outcome["verdict"]) == (DRILL, "pass")


@pytest.mark.nightly
def test_the_responder_of_the_documentation_passes_one_drill_and_fails_another(
    haproxy_lab: UserLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shutil.which("jq"), "the responder needs jq"
    # the responder calls halab, as a person does
    monkeypatch.setenv("PATH", str(HALAB.parent), prepend=":")
    shutil.copy2(RESPONDER, haproxy_lab.folder)

    passed = benchmarked(haproxy_lab, "does-not-come-back", code=0)
    assert passed["responder"]["code"] == 0
    outcome = passed["outcome"]
    assert (outcome["verdict"], outcome["score"], outcome["ending"]) == ("pass", 100, "complete")
    assert outcome["detected_seconds"] <= outcome["repaired_seconds"] <= outcome["seconds"]

    # it checks for minutes, but what it has done after one minute is all that it does
    failed = benchmarked(haproxy_lab, DRILL, "--limit", "1m", code=1)
    assert failed["responder"]["timed_out"]
    assert (failed["outcome"]["verdict"], failed["outcome"]["score"]) == ("fail", 0)

    status = haproxy_lab.status()
    assert (status["drill_is_on"], status["steady"]) == (False, True)


def benchmarked(lab: UserLab, drill: str, *options: str, code: int) -> dict[str, Any]:
    """One attempt of the responder at a drill, on a lab that is restored before and afterwards."""
    done = lab.halab("drill", "benchmark", "--responder", f"./{RESPONDER.name}", "--json", *options, drill)
    assert done.code == code, str(done)
    attempt: dict[str, Any]
    [attempt] = json.loads(done.output)
    return attempt
