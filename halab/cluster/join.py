"""How a machine that was created again or was reset joins the cluster, and how that ended."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

# Measured on 2 cores: 17 to 38 s, because each join waits for its etcd member.
_JOIN_SECONDS = 480
# A line of a script's log begins with its time. This one comes directly before the output of kubeadm.
_RUNS = re.compile(r"[\d:]{8} runs: (kubeadm join .*)")
_TIME = re.compile(r"^[\d:]{8} ")
_LAST_LINES = 40


@dataclass(frozen=True)
class JoinAttempt:
    """A `kubeadm join` that has ended. `code` is its exit code, or None if it was stopped at its time limit.

    `seconds` includes the reset of what an earlier join left behind. `output` has its last lines.
    """

    command: str
    code: int | None
    seconds: float
    output: tuple[str, ...]


def read_attempt(log: Sequence[str], code: int | None, seconds: float) -> JoinAttempt | None:
    """The attempt that the log of join.sh shows; None if the script ended before kubeadm ran."""
    for number, line in enumerate(log):
        match = _RUNS.fullmatch(line)
        if match:
            output = [_TIME.sub("", said) for said in log[number + 1 :]]
            return JoinAttempt(match[1], code, seconds, tuple(output[-_LAST_LINES:]))
    return None


@dataclass(frozen=True)
class JoinOptions:
    """The defaults are for a join that should succeed.

    `forget_lost` first removes what the lost machine left in the cluster: its etcd member and its node.
    `before_join` is called when the join command is ready and was not used yet, with the name of the control plane
    that issued it. `after_join` is called when `kubeadm join` has ended, whether it succeeded or not. `limit_seconds`
    is the time for `kubeadm join`, before the lab's patience stretches it.
    """

    forget_lost: bool = True
    before_join: Callable[[str], None] | None = None
    after_join: Callable[[JoinAttempt], None] | None = None
    limit_seconds: float = _JOIN_SECONDS
