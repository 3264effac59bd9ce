"""How a machine that was created again joins the cluster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

# Measured on 2 cores: 17 to 38 s, because each join waits for its etcd member.
_JOIN_SECONDS = 480


@dataclass(frozen=True)
class JoinOptions:
    """The defaults are those of a join that should succeed.

    `forget_lost` first removes what the lost machine left in the cluster: its etcd member and its node.
    `before_join` is called when the join command is ready and was not used yet, with the name of the control plane
    that issued it. `limit_seconds` is the time for `kubeadm join`, before the lab's patience stretches it.
    """

    forget_lost: bool = True
    before_join: Callable[[str], None] | None = None
    limit_seconds: float = _JOIN_SECONDS
