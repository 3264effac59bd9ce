"""Machines that answer the scripts of provisioning as those of a real lab."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from halab.errors import HalabError
from halab.process import Completed
from support.fakes import Call, FakeGuests, lab_of

JOIN = "kubeadm join 10.213.7.10:6443 --token abcdef.0123456789abcdef --certificate-key 5ec2e7"


ADDRESSES = {machine.name: machine.address for machine in lab_of(workers=2).machines}


Special = str | Completed | HalabError | Callable[[], str | Completed | None]


def kind_of(call: Call) -> str:
    """One word for a call: before, after, set-up, joined?, init, members, forget, material, expire, deliver or join."""
    text = f"{call.command}\n{call.input or ''}"
    for pattern, kind in (
        (r"^test -e .*halab-joined", "joined?"),
        (r"member list", "members"),
        (r"member remove", "forget"),
        (r"^install -D ", "deliver"),
        (r"kubeadm token create", "material"),
        (r"delete secret kubeadm-certs", "expire"),
        (r"\nif ! kubeadm init ", "init"),
        (r"\njoin=\(kubeadm join ", "join"),
        (r"halab/setup-before", "before"),
        (r"halab/setup-after", "after"),
        (r"halab/hosts", "set-up"),
    ):
        if re.search(pattern, text):
            return kind
    return "other"


class Machines(FakeGuests):
    """A lab that works: a machine that has joined says so, and its member votes as soon as its join has begun."""

    def __init__(self, *joined: str, stale: str | None = None, **answers: Special) -> None:
        super().__init__({"": self._answer})
        self.joined = set(joined)
        self.stale = [{"ID": 171, "name": "?", "peerURLs": [f"https://{stale}:2380"]}] if stale else []
        self.voting: list[dict[str, object]] = []
        self.special = answers

    def happened(self, *kinds: str) -> list[tuple[str, str]]:
        return [(call.machine, kind_of(call)) for call in self.calls if kind_of(call) in kinds]

    def _answer(self, call: Call) -> str | Completed:
        kind = kind_of(call)
        special = self.special.get(f"{call.machine}_{kind}", self.special.get(kind))
        if kind == "join" and not isinstance(special, Completed):
            # a member votes long before its join ends; if the join fails, it never votes
            peer = f"https://{ADDRESSES[call.machine]}:2380"
            self.voting.append({"ID": 1, "name": call.machine, "peerURLs": [peer]})
        if callable(special):
            special = special()
        if isinstance(special, HalabError):
            raise special
        if special is not None:
            return special
        if kind == "joined?":
            return Completed(0 if call.machine in self.joined else 1, "", "")
        if kind == "members":
            return json.dumps({"members": [*self.stale, *self.voting]})
        if kind == "forget":
            self.stale = []
        if kind == "material":
            return f"some talk\n{JOIN}\n"
        if kind in ("init", "join"):
            self.joined.add(call.machine)
            return f"12:00:00 changed: kubeadm {kind}\n"
        return "12:00:00 changed: /etc/halab/hosts\n" if kind == "set-up" and not self.joined else ""
