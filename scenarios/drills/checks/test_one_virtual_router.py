"""Both load balancers can serve, and keepalived on both belongs to the same virtual router."""

import re

_FILE = "/etc/keepalived/keepalived.conf"


def test_both_run(lab, machine):
    dead = [
        f"{unit} on {each.name}"
        for each in lab.balancers
        for unit in ("keepalived", lab.load_balancer.kind)
        if machine(each.name).run(f"systemctl is-active {unit}").stdout.strip() != "active"
    ]
    assert not dead, f"not active: {', '.join(dead)}"


def test_both_belong_to_the_same_virtual_router(lab, machine):
    ids = set()
    for each in lab.balancers:
        found = re.search(
            r"^\s*virtual_router_id\s+(\d+)", machine(each.name).check_output(f"cat {_FILE}"), re.M
        )
        ids.add(found[1] if found else None)
    assert len(ids) == 1 and None not in ids, "both run, but neither would take over from the other"
