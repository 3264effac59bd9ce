"""Waits until a lab is steady after it was built, started, restored or repaired."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime

from halab.clock import Deadline, NotYet, RealClock, wait_for
from halab.cluster import leases
from halab.cluster.api import Api
from halab.cluster.steady import Observation, wait_until_steady
from halab.errors import HalabError, TimedOut, Unreachable
from halab.lifecycle import access
from halab.lifecycle.lab import LabDir
from halab.machines.guests import Guests, on_all
from halab.progress import Progress
from halab.topology.lab import Lab

# For a host that does nothing else; a lab's patience stretches it.
_STEADY_SECONDS = 240
# Measured on 2 cores: an API server is ready 8 to 12 s after its machine has booted.
_API_READY_SECONDS = 40
# The API server that the kubelet of a node uses.
_RESTART_KUBELET = r"""
server=$(sed -n 's/^ *server: *//p' /etc/kubernetes/kubelet.conf)
until curl -sf --cacert /etc/kubernetes/pki/ca.crt --max-time 2 -o /dev/null "$server/readyz"; do sleep 0.3; done
systemctl restart kubelet.service
"""
# When the first process of the machine started, in seconds since 1970 by the machine's clock. `btime` alone does not
# say it: a container has that of its host.
_BOOT_TIME = """
btime=$(awk '$1 == "btime" {print $2}' /proc/stat)
awk -v btime="$btime" -v hertz="$(getconf CLK_TCK)" '{printf "%d", btime + $22 / hertz}' /proc/1/stat
"""


def wait_steady(
    lab_dir: LabDir,
    lab: Lab,
    progress: Progress,
    *,
    hold_seconds: float = 0,
    all_booted: bool = False,
    hint: str = "",
) -> Observation:
    """Wait until the lab is steady and has stayed steady for `hold_seconds`. Raises TimedOut at the limit.

    `all_booted` means that all machines have just booted, so no earlier leader is left. `hint` says what the caller has
    done and what the user can do, for an error without a hint of its own.
    """
    limit = _STEADY_SECONDS * lab.patience
    with (
        access.api(lab_dir, lab) as api,
        progress.step("wait until the lab is steady", limit_seconds=limit) as step,
    ):
        guests, deadline = access.guests(lab_dir), Deadline.after(RealClock(), limit)
        booted = {}
        if all_booted:
            _delete_leases(api, deadline)
            if not lab.is_emulated:
                _restart_kubelets(guests, lab)
            booted = _boot_times(guests, lab)
        try:
            seen = wait_until_steady(
                guests, api, lab, deadline, hold_seconds=hold_seconds, booted=booted, show=step.note
            )
        except HalabError as error:
            error.hint = error.hint or hint
            raise
        step.done(str(seen))
    return seen


def _delete_leases(api: Api, deadline: Deadline) -> None:
    """Delete the leases of earlier leaders as soon as the API answers. The caller reports an API that does not."""

    def delete() -> None:
        try:
            leases.delete_expired(api, datetime.now(UTC))
        except Unreachable as error:
            raise NotYet(error.message) from error

    with suppress(TimedOut):
        wait_for("the API to answer", delete, deadline)


def _restart_kubelets(guests: Guests, lab: Lab) -> None:
    """Restart each kubelet as soon as its API server is ready, because it has started before the API server.

    Its requests failed, and their pauses have doubled: it starts pods that need a Service up to 30 s later. If an API
    server does not become ready in time, its kubelet keeps running: the caller reports what the lab lacks.
    """
    limit = _API_READY_SECONDS * lab.patience

    def restart(name: str) -> None:
        with suppress(HalabError):
            guests.run(name, _RESTART_KUBELET, timeout_seconds=limit)

    on_all([machine.name for machine in lab.nodes], restart)


def _boot_times(guests: Guests, lab: Lab) -> dict[str, datetime]:
    """Host name → boot, for the nodes that answer: the caller reports a machine that does not."""

    def boot_time(name: str) -> datetime | None:
        try:
            return datetime.fromtimestamp(int(guests.run(name, _BOOT_TIME).output), UTC)
        except HalabError:
            return None

    boots = on_all([machine.name for machine in lab.nodes], boot_time)
    return {lab.machine(name).hostname: boot for name, boot in boots.items() if boot is not None}
