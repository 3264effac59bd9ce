"""The upgrade of Kubernetes as a fault: machines stop and come back one after another, while clients continue."""

from __future__ import annotations

import threading

from halab.config import kubernetes
from halab.config.fault_facts import UPGRADE
from halab.config.targets import FaultTarget
from halab.errors import BadUsage, Unable
from halab.faults.fault import Fault, Option
from halab.faults.journal import Entry
from halab.faults.site import Site

# On several machines the fault is the same, and only the first inject or heal has something to do.
_one_upgrades = threading.Lock()


def _require_newer(site: Site, entry: Entry) -> None:
    try:
        wanted = kubernetes.resolve(entry.options["version"]).kubernetes
    except BadUsage as error:
        raise Unable(error.message, hint=error.hint) from error
    if problem := kubernetes.upgrade_problem(site.lab.release.kubernetes, wanted):
        raise Unable(problem[0], hint=problem[1])


def _upgrade(site: Site, entry: Entry) -> str:
    with _one_upgrades:
        return site.upgrade(entry.options["version"])


def _complete(site: Site, entry: Entry) -> None:
    with _one_upgrades:
        site.upgrade(None)


FAULTS = (
    Fault(
        UPGRADE,
        "Upgrade Kubernetes as `halab upgrade` does; healing completes an upgrade that was interrupted. The lab keeps "
        "the new version, and `halab reset` brings back the old one.",
        _upgrade,
        _complete,
        {"version": Option("a version of Kubernetes", r"1\.[0-9]{1,3}(\.[0-9]{1,3})?", "1.37")},
        target=FaultTarget.CONTROL_PLANE,
        check=_require_newer,
    ),
)
