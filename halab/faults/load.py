"""The fault of a load: a number of requests a second to the API, through the load balancer, until it is healed."""

from __future__ import annotations

import json

from halab.clock import NotYet, wait_for
from halab.cluster import etcd
from halab.cluster.kube import KUBECTL
from halab.faults import scratch
from halab.faults.fault import Fault, Option
from halab.faults.journal import Entry
from halab.faults.site import Site

_EFFECT_SECONDS = 60
# A load that nobody heals ends by itself.
_MOST_SECONDS = 600
_MOST_CREATED = 20_000
_NAMESPACE = "default"
_PATHS = {
    "list": "/api/v1/pods",
    "get": "/api/v1/namespaces/kube-system",
    "create": f"/api/v1/namespaces/{_NAMESPACE}/configmaps",
}
# Machines have no Python: one curl a second sends all requests of that second, each over a connection of its own, so
# that the load balancer spreads them. If they take longer than a second, the next second waits: no more are in flight.
_SEND = """
folder=$1 url=$2 requests=$3 in_flight=$4 most=$5
body=(); [ -e "$folder/body" ] && body=(-H 'Content-Type: application/json' -d "@$folder/body")
sent=0
while [ "$most" -eq 0 ] || [ "$sent" -lt "$most" ]; do
  begun=$(date +%s%3N)
  curl -s --http1.1 -Z --parallel-immediate --parallel-max "$in_flight" --max-time 10 \\
    --cacert /etc/kubernetes/pki/ca.crt --cert "$folder/certificate" --key "$folder/key" \\
    -o /dev/null -w '%{http_code}\\n' "${body[@]}" "$url?halab=[1-$requests]" 2>/dev/null |
    sort | uniq -c >"$folder/answers.new"
  mv "$folder/answers.new" "$folder/answers"
  sent=$((sent + requests))
  left=$((1000 - $(date +%s%3N) + begun))
  if [ "$left" -gt 0 ]; then sleep "$((left / 1000)).$(printf %03d $((left % 1000)))"; fi
done
"""
_REFUSED = ("401", "403", "404")


def _extract(field: str) -> str:
    """Print a field of the administrator's credentials on the machine."""
    return f"{KUBECTL} config view --raw -o jsonpath='{{.users[0].user.{field}}}' | base64 -d"


def _unit(entry: Entry) -> str:
    return f"halab-load-{entry.id}.service"


def _prefix(entry: Entry) -> str:
    """How the names of created objects begin."""
    return f"halab-load-{entry.id}-"


def _begin(site: Site, entry: Entry) -> str:
    folder, options = scratch.folder(entry), entry.options
    verb, requests = options["verb"], int(options["requests"])
    # an object with `generateName` gets a new name each time
    body = json.dumps({"metadata": {"generateName": _prefix(entry)}, "data": {"load": "x" * 200}})
    write_body = f"echo '{body}' >{folder}/body && " if verb == "create" else ""
    host, port = site.lab.way_from(site.lab.machine(entry.machine))
    url = f"https://{host}:{port}{_PATHS[verb]}"
    most = _MOST_CREATED if verb == "create" else 0
    site.guests.run(
        entry.machine,
        f"{scratch.make(entry)} && umask 077 && cat >{folder}/send && {write_body}"
        f"{_extract('client-certificate-data')} >{folder}/certificate && "
        f"{_extract('client-key-data')} >{folder}/key && "
        f"systemd-run -q --collect --unit={_unit(entry)} -p RuntimeMaxSec={_MOST_SECONDS} "
        f"bash {folder}/send {folder} {url} {requests} {options['in_flight']} {most}",
        input=_SEND,
    )

    def answered() -> str:
        done = site.guests.run(entry.machine, f"cat {folder}/answers", check=False)
        counts = [line.split() for line in done.output.splitlines()]
        said = [f"{count} times {code}" for count, code in counts]
        if not said:
            raise NotYet("no request has an answer")
        if all(code in _REFUSED for _, code in counts):
            raise NotYet(f"the API refuses: {', '.join(said)}")
        return f"{requests} requests of the first second got {', '.join(said).replace('000', 'no answer')}"

    deadline = site.deadline(_EFFECT_SECONDS)
    return wait_for(f"requests from {entry.machine}", answered, deadline, every_seconds=0.2)


def _end(site: Site, entry: Entry) -> None:
    unit = _unit(entry)
    command = f"systemctl stop {unit} 2>/dev/null || ! systemctl is-active -q {unit}"
    site.guests.run(entry.machine, f"{command} && {{ {scratch.forget(entry)}; }}")
    if entry.options["verb"] == "create":
        key = f"/registry/configmaps/{_NAMESPACE}/{_prefix(entry)}"
        etcd.through_any(site.guests, site.lab, entry.machine, f"del --prefix {key}")


FAULTS = (
    Fault(
        "load-api",
        "Send a number of requests a second to the API, through the load balancer, until it is healed. "
        f"The load ends by itself after {_MOST_SECONDS // 60} minutes.",
        _begin,
        _end,
        {
            "requests": Option(
                "a number of requests a second, 1 to 500", r"[1-9][0-9]?|[1-4][0-9]{2}|500", "50"
            ),
            "in_flight": Option(
                "a number of requests at the same time, 1 to 200", r"[1-9][0-9]?|1[0-9]{2}|200", "20", "20"
            ),
            "verb": Option("list, get or create", r"list|get|create", "create", "list"),
        },
    ),
)
