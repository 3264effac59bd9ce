"""The load balancer's own statistics say how it checks: L7OK is an answer over HTTP, L4OK only a connection."""

import csv
import time
from urllib.request import urlopen


def test_every_api_server_was_checked_over_http(lab):
    url = f"http://{lab.balancer.address}:8404/;csv"
    names = {machine.name for machine in lab.control_planes}
    for _ in range(10):
        with urlopen(url, timeout=3) as answer:
            rows = list(csv.DictReader(answer.read().decode().lstrip("# ").splitlines()))
        checks = {row["svname"]: row["check_status"].lstrip("* ") for row in rows if row["svname"] in names}
        # a configuration that was loaded a moment ago has not checked all servers yet
        if "INI" not in checks.values():
            break
        time.sleep(0.5)
    wrong = sorted(name for name in names if not checks.get(name, "").startswith("L7"))
    assert not wrong, f"it would not notice if these hang: {', '.join(wrong)}"
