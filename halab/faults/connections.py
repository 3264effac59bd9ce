"""The fault of idle connections that use up the connections of the load balancer."""

from __future__ import annotations

from halab.clock import NotYet, wait_for
from halab.config.targets import FaultTarget
from halab.faults import scratch
from halab.faults.fault import Fault, Option
from halab.faults.journal import Entry
from halab.faults.site import Site

_EFFECT_SECONDS = 60
# A full balancer does not answer. A connection takes 0.2 s on a busy machine: after this time, no more are accepted.
_NO_MORE_SECONDS = 4
# The API server closes an idle connection after 32 s: the script opens a new one. It is Bash, because machines have no
# Python. A closed connection is readable; an open one is not, because TLS sends nothing to a silent client.
_HOLD = """
open() { exec {fd}<>"/dev/tcp/$1/$2" && held[$fd]=$fd; }
declare -A held
while true; do
  for fd in "${held[@]}"; do
    if read -r -t 0 -u "$fd"; then exec {fd}>&-; unset "held[$fd]"; fi
  done
  while [ ${#held[@]} -lt "$3" ]; do open "$1" "$2" 2>/dev/null || break; done
  sleep 1
done
"""


def _unit(entry: Entry) -> str:
    return f"halab-hold-{entry.id}.service"


def _hold(site: Site, entry: Entry) -> str:
    host, port = site.lab.way_from(site.lab.machine(entry.machine))
    count = int(entry.options["count"])
    site.guests.run(
        entry.machine,
        f"{scratch.make(entry)} && cat >{scratch.folder(entry)}/hold && "
        f"systemd-run -q --collect --unit={_unit(entry)} -p LimitNOFILE={count + 100} "
        f"bash {scratch.folder(entry)}/hold {host} {port} {count}",
        input=_HOLD,
    )
    most, since = 0, site.clock.now()

    def held() -> str:
        nonlocal most, since
        now = _held(site, entry)
        if now > most:
            most, since = now, site.clock.now()
        if now >= count:
            return f"{now} connections are open"
        # this may be the maximum that the balancer accepts
        if most and site.clock.now() - since > _NO_MORE_SECONDS * site.lab.patience:
            return f"{now} connections are open, of {count} that were tried: no more are accepted"
        raise NotYet(f"{now} connections are open")

    deadline = site.deadline(_EFFECT_SECONDS)
    return wait_for(f"{count} connections from {entry.machine}", held, deadline, every_seconds=0.2)


def _held(site: Site, entry: Entry) -> int:
    """The number of connections of the unit's process, as its machine's kernel counts them."""
    machine = site.lab.machine(entry.machine)
    _, port = site.lab.way_from(machine)
    there = " or ".join(f"dst {address}" for address in site.lab.endpoint_addresses(machine))
    lb = f"'( {there} )' dport = {port}"
    command = (
        f"pid=$(systemctl show -p MainPID --value {_unit(entry)}); "
        f'ss -Htnp state established {lb} | grep -c "pid=$pid," || true'
    )
    return int(site.guests.run(entry.machine, command).output)


def _let_go(site: Site, entry: Entry) -> None:
    unit = _unit(entry)
    command = f"systemctl stop {unit} 2>/dev/null || ! systemctl is-active -q {unit}"
    site.guests.run(entry.machine, f"{command} && {{ {scratch.forget(entry)}; }}")


FAULTS = (
    Fault(
        "hold-connections",
        "Keep idle connections from a machine to the load balancer open, until it is healed.",
        _hold,
        _let_go,
        {
            "count": Option(
                "a number of connections, up to 4000", r"[1-9][0-9]{0,2}|[1-3][0-9]{3}|4000", "200"
            )
        },
        target=FaultTarget.ANY,
    ),
)
