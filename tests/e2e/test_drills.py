"""One short drill on a real lab: a wrong attempt, the solution, and the lab restored."""

from __future__ import annotations

import json

from support.cli_driver import UserLab

DRILL = "unreachable-api"


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
