"""The check that all machines reach each other: kubeadm would wait for minutes and then report something else."""

from __future__ import annotations

from halab.clock import Clock, Deadline, NotYet, wait_for
from halab.errors import NotConnected, TimedOut, Unreachable
from halab.machines.guests import Guests, on_all
from halab.progress import Progress
from halab.topology.lab import Lab

_SECONDS = 20
_SHOWN = 4
# A refused connection shows as well that packets arrive. Every machine has bash, and not every stock box has ping.
_TRY = """
reach() {
  error=$(LC_ALL=C timeout 5 bash -c "exec 3<>/dev/tcp/$1/22" 2>&1) && return
  case $error in *refused*) ;; *) echo "$2" ;; esac
}
%s
wait
"""


def require(lab: Lab, guests: Guests, clock: Clock, progress: Progress) -> None:
    """Raise NotConnected if a machine does not reach another one on the lab's network.

    Raises Unreachable if a machine does not answer over SSH all the time. A busy emulated machine answers late.
    """
    limit = _SECONDS * lab.patience
    missing: list[str] = []

    def require_all() -> None:
        missing.clear()
        try:
            missing[:] = _missing(lab, guests, limit)
        except (Unreachable, TimedOut) as error:
            raise NotYet(str(error)) from error
        if missing:
            raise NotYet(missing[0])

    with progress.step("connect the machines to each other", limit_seconds=limit):
        try:
            wait_for(
                "the machines to reach each other",
                require_all,
                Deadline.after(clock, limit),
                every_seconds=1,
            )
        except TimedOut as error:
            if not missing:
                raise Unreachable(str(error)) from error
            pairs = len(lab.machines) * (len(lab.machines) - 1)
            shown = ", ".join(missing[:_SHOWN]) + (" …" if len(missing) > _SHOWN else "")
            raise NotConnected(
                f"packets on the lab's network are lost on {len(missing)} of {pairs} paths: {shown}",
                hint="machines do not filter packets before kubeadm runs; look for a firewall of the host, or heal an "
                "open fault: `halab heal`",
            ) from error


def _missing(lab: Lab, guests: Guests, timeout_seconds: float) -> list[str]:
    """The paths on which packets are lost, such as `cp1 → lb1`."""

    def peers_not_reached(name: str) -> list[str]:
        tries = "\n".join(
            f"reach {peer.address} {peer.name} &" for peer in lab.machines if peer.name != name
        )
        return guests.run(name, _TRY % tries, timeout_seconds=timeout_seconds).output.split()

    lost = on_all([machine.name for machine in lab.machines], peers_not_reached)
    return [f"{name} → {peer}" for name, peers in lost.items() for peer in sorted(peers)]
