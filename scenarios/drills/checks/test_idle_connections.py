"""The time-outs of HAProxy for idle connections, as its configuration sets them for the API servers."""

import re

_SECONDS = {"us": 1e-6, "ms": 1e-3, "": 1e-3, "s": 1, "m": 60, "h": 3600, "d": 86400}


def _seconds(text):
    """`1h` or `1h30m` in seconds; without a unit, HAProxy means milliseconds."""
    return sum(int(number) * _SECONDS[unit] for number, unit in re.findall(r"(\d+)(us|ms|s|m|h|d|)", text))


def test_idle_timeouts_are_at_least_an_hour(lab, machine):
    host = machine(lab.balancer.name)
    assert host.run("haproxy -c -f /etc/haproxy/haproxy.cfg").succeeded, "haproxy rejects its configuration"
    short = []
    section = ""
    for line in host.check_output("cat /etc/haproxy/haproxy.cfg").splitlines():
        if re.match(r"[a-z]", line):
            section = line.strip()
        found = re.match(r"\s+timeout\s+(client|server|tunnel)\s+(\S+)", line)
        if found and "statistics" not in section and _seconds(found[2]) < 3600:
            short.append(line.strip())
    # the message does not tell the settings: learners see it
    assert not short, "a connection that is idle for an hour would be cut"
