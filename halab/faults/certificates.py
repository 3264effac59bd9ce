"""The fault of certificates: an expired one in place of a valid one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from halab.clock import NotYet, wait_for
from halab.config.kubernetes import API_PORT
from halab.config.targets import FaultTarget
from halab.errors import BadUsage, Unable
from halab.faults import processes, scratch
from halab.faults.fault import Fault, Option
from halab.faults.journal import Entry
from halab.faults.manifests import HELD
from halab.faults.site import Site
from halab.topology.lab import ETCD_PEER_PORT, ETCD_PORT

# A component that was killed is back after 2 s, or after 10 to 20 s if it was killed before.
_EFFECT_SECONDS = 90
_PKI = "/etc/kubernetes/pki"


@dataclass(frozen=True)
class _Certificate:
    """`path` and `ca` have no file endings. `component` loads the certificate; `port` serves it, or is None."""

    path: str
    ca: str
    component: str
    port: int | None


_CERTIFICATES = {
    "apiserver": _Certificate("apiserver", "ca", "kube-apiserver", API_PORT),
    "etcd-server": _Certificate("etcd/server", "etcd/ca", "etcd", ETCD_PORT),
    "etcd-peer": _Certificate("etcd/peer", "etcd/ca", "etcd", ETCD_PEER_PORT),
    "apiserver-etcd-client": _Certificate("apiserver-etcd-client", "etcd/ca", "kube-apiserver", None),
}

# Turns the valid certificate into a request with the same key, subject, names and usages, and signs it with the CA for
# a time in the past.
_EXPIRED = """
set -eu
pki=$1 kept=$2 original=$3 path=$4 ca=$5
umask 077
mkdir -p $kept/work
cp -p $pki/$path.crt $kept/work/original
mv $kept/work/original $original
cd $kept/work
: >index
cat >ca.cnf <<'END'
[ca]
default_ca = halab
[halab]
database = index
new_certs_dir = .
rand_serial = yes
default_md = sha256
policy = any
copy_extensions = copyall
unique_subject = no
[any]
organizationName = optional
commonName = optional
END
openssl x509 -x509toreq -in $pki/$path.crt -signkey $pki/$path.key -copy_extensions copyall -out request
openssl ca -batch -config ca.cnf -notext -preserveDN -in request -cert $pki/$ca.crt -keyfile $pki/$ca.key \\
  -startdate "$(date -u -d '-1 year' +%Y%m%d%H%M%SZ)" -enddate "$(date -u -d '-1 hour' +%Y%m%d%H%M%SZ)" -out new.crt
chmod 644 new.crt
mv new.crt $pki/$path.crt
rm -rf $kept/work
"""
_KILL = "pkill -KILL -x {process} || [ $? -eq 1 ]"
# The kubelet waits longer before each restart of a container; a restarted kubelet does not. But it asks its API server
# about every static pod, and would wait minutes for an API server that hangs without etcd.
_NEW_KUBELET = "systemctl restart kubelet"


def _require_key(site: Site, entry: Entry) -> None:
    certificate = _certificate(entry)
    key, name = f"{_PKI}/{certificate.ca}.key", entry.options["certificate"]
    if site.guests.run(entry.machine, f"test -e {key}", check=False).code != 0:
        raise Unable(f"{entry.machine} lacks the CA's key, so no certificate can be signed there: {key}")
    others = site.guests.run(entry.machine, f"ls {HELD}/*/{name}.crt 2>/dev/null || true")
    if others.output.strip():
        raise BadUsage(
            f"another fault has already replaced this certificate on {entry.machine}: {name}",
            hint="heal that one first",
        )


def _expire(site: Site, entry: Entry) -> str:
    certificate = _certificate(entry)
    before = processes.started(site.guests, entry.machine, certificate.component)
    site.guests.run(
        entry.machine,
        scratch.locked(
            f"bash -s {_PKI} {_kept(entry)} {_original(entry)} {certificate.path} {certificate.ca}"
        ),
        input=_EXPIRED,
    )
    _restart(site, entry)

    def shown() -> str:
        now = processes.started(site.guests, entry.machine, certificate.component)
        if now == before:
            raise NotYet(f"{certificate.component} has not restarted yet")
        if certificate.port is None:
            return _refused(site, entry, certificate)
        return _served(site, entry, certificate, certificate.port)

    what = f"{entry.machine} to use its expired certificate"
    return wait_for(what, shown, site.deadline(_EFFECT_SECONDS), every_seconds=0.3)


def _served(site: Site, entry: Entry, certificate: _Certificate, port: int) -> str:
    """When the served certificate expired. It may differ from the one on the disk."""
    address = site.lab.machine(entry.machine).address
    client = f"-cert {_PKI}/{certificate.path}.crt -key {_PKI}/{certificate.path}.key"
    said = site.guests.run(
        entry.machine,
        f"timeout 5 openssl s_client -connect {address}:{port} {client} </dev/null 2>/dev/null | "
        "openssl x509 -noout -enddate -checkend 0",
        check=False,
    )
    end = said.output.partition("\n")[0].partition("=")[2]
    if not end:
        raise NotYet(f"{certificate.component} does not answer")
    if said.code == 0:
        raise NotYet(f"{certificate.component} serves a certificate that is valid until {end}")
    return f"{certificate.component} serves a certificate that expired at {end}"


def _refused(site: Site, entry: Entry, certificate: _Certificate) -> str:
    """The error of etcd for a client with the expired certificate."""
    address = site.lab.machine(entry.machine).address
    said = site.guests.run(
        entry.machine,
        f"curl -sS --max-time 5 --cacert {_PKI}/etcd/ca.crt --cert {_PKI}/{certificate.path}.crt "
        f"--key {_PKI}/{certificate.path}.key https://{address}:{ETCD_PORT}/health 2>&1",
        check=False,
    )
    answer = said.output.strip()
    if "expired" not in answer:
        raise NotYet(f"etcd answers: {answer[:120]}")
    return f"etcd refuses {certificate.component}: {answer}"


def _renew(site: Site, entry: Entry) -> None:
    folder, original, path = _kept(entry), _original(entry), f"{_PKI}/{_certificate(entry).path}.crt"
    # keep the original until the component has restarted, so that a heal that was killed can be repeated
    put_back = f"cp -p {original} {folder}/again && mv -f {folder}/again {path} && echo there"
    there = site.guests.run(entry.machine, scratch.locked(f"if [ -e {original} ]; then {put_back}; fi"))
    if there.output.strip():
        _restart(site, entry)
    site.guests.run(entry.machine, f"rm -rf {folder}; rmdir {HELD} 2>/dev/null || true")


def _restart(site: Site, entry: Entry) -> None:
    component = _certificate(entry).component
    command = _KILL.format(process=processes.short(component))
    if component != "etcd":
        command = f"{command}; {_NEW_KUBELET}"
    site.guests.run(entry.machine, command, timeout_seconds=60)


def _certificate(entry: Entry) -> _Certificate:
    return _CERTIFICATES[entry.options["certificate"]]


def _kept(entry: Entry) -> str:
    return f"{HELD}/{entry.id}"


def _original(entry: Entry) -> str:
    return f"{_kept(entry)}/{entry.options['certificate']}.crt"


def _target(options: Mapping[str, str]) -> FaultTarget:
    is_of_etcd = options.get("certificate", "etcd-").startswith("etcd-")
    return FaultTarget.MEMBER if is_of_etcd else FaultTarget.CONTROL_PLANE


FAULTS = (
    Fault(
        "expire-certificate",
        "Give a component a certificate that has expired, until it is healed.",
        _expire,
        _renew,
        {"certificate": Option("a certificate of kubeadm", "|".join(_CERTIFICATES), "apiserver")},
        target=FaultTarget.MEMBER,
        target_by=_target,
        check=_require_key,
    ),
)
