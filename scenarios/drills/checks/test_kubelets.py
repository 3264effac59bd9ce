"""Every control plane has a kubelet that works: one that ends soon after each start is active for a moment, too."""

_HEALTH = "curl --silent --max-time 3 http://127.0.0.1:10248/healthz"


def test_all_are_healthy(lab, machine):
    said = {each.name: machine(each.name).run(_HEALTH).stdout for each in lab.control_planes}
    bad = sorted(name for name, answer in said.items() if answer != "ok")
    assert not bad, f"changed manifests have no effect on {', '.join(bad)}"
