"""Every control plane has a controller-manager that works, also those that do not lead."""

_HEALTH = "curl --silent --insecure --max-time 3 https://127.0.0.1:10257/healthz"


def test_all_are_healthy(lab, machine):
    said = {each.name: machine(each.name).run(_HEALTH).stdout for each in lab.control_planes}
    bad = sorted(name for name, answer in said.items() if answer != "ok")
    assert not bad, f"a Deployment gets no new pods if only these are left: {', '.join(bad)}"
