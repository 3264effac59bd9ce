"""Certificates that have expired: the same but for the time, made with openssl as on a machine, and put back."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from support.fakes import FakeGuests
from support.site_builder import Shell, heal, inject, site_of

from halab.errors import BadUsage, CommandFailed, TimedOut, Unable, Unreachable
from halab.faults import certificates
from halab.faults.journal import Entry
from halab.process import Completed

# when the component was started: before the kill, and after it
STARTED = ("1000\n", "2000\n")
EXPIRED = Completed(1, "notAfter=Nov 22 10:00:00 2026 GMT\nCertificate will expire\n", "")
VALID = Completed(0, "notAfter=Nov 22 10:00:00 2036 GMT\nCertificate will not expire\n", "")


# the script


def openssl(*words: str | Path, folder: Path) -> str:
    tool = shutil.which("openssl") or pytest.skip("not installed: openssl")
    argv = [tool, *map(str, words)]
    return subprocess.run(argv, cwd=folder, check=True, capture_output=True, text=True, timeout=60).stdout


@pytest.fixture
def pki(tmp_path: Path) -> Path:
    """A CA, and a certificate of its making for a server with two names, as kubeadm's are."""
    folder = tmp_path / "pki"
    folder.mkdir()
    ec = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl(
        "req",
        "-x509",
        *ec,
        "-days",
        "9",
        "-subj",
        "/CN=kubernetes",
        "-keyout",
        "ca.key",
        "-out",
        "ca.crt",
        folder=folder,
    )
    names = "subjectAltName=DNS:cp2,IP:10.213.7.12"
    openssl("req", *ec, "-subj", "/CN=kube-apiserver/O=a", "-addext", names, "-addext", "extendedKeyUsage=serverAuth",
            "-keyout", "apiserver.key", "-out", "request", folder=folder)  # fmt: skip
    openssl("x509", "-req", "-in", "request", "-CA", "ca.crt", "-CAkey", "ca.key", "-days", "8",
            "-copy_extensions", "copyall", "-out", "apiserver.crt", folder=folder)  # fmt: skip
    return folder


def shown(pki: Path, certificate: Path, *what: str) -> str:
    return openssl("x509", "-in", certificate, "-noout", *what, folder=pki)


def test_an_expired_certificate_differs_only_in_its_time(pki: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    valid = (pki / "apiserver.crt").read_bytes()
    what = ("-subject", "-issuer", "-pubkey", "-ext", "subjectAltName,extendedKeyUsage")
    before = shown(pki, pki / "apiserver.crt", *what)
    argv = ["bash", "-s", str(pki), str(kept), f"{kept}/apiserver.crt", "apiserver", "ca"]
    subprocess.run(argv, input=certificates._EXPIRED, check=True, capture_output=True, text=True, timeout=60)
    assert shown(pki, pki / "apiserver.crt", *what) == before
    tool = shutil.which("openssl")
    assert tool
    argv = [tool, "x509", "-in", f"{pki}/apiserver.crt", "-noout", "-checkend", "0"]
    assert subprocess.run(argv, capture_output=True, timeout=60, check=False).returncode == 1
    assert (pki / "apiserver.crt").stat().st_mode & 0o777 == 0o644
    assert (kept / "apiserver.crt").read_bytes() == valid
    assert sorted(path.name for path in kept.iterdir()) == ["apiserver.crt"]
    openssl("verify", "-no_check_time", "-CAfile", "ca.crt", "apiserver.crt", folder=pki)


def machine_of(pki: Path, root: Path) -> tuple[FakeGuests, Shell]:
    """A machine that signs and puts back for real, and on which a component is killed in words only."""
    shell = Shell(root / "machine")
    pki.rename(shell.path("/etc/kubernetes/pki"))
    return FakeGuests(
        {"exec 9": shell, "^cp2: rm -rf": shell, "s_client": EXPIRED, "pgrep -o": list(STARTED)}
    ), shell


def test_the_original_certificate_comes_back_and_nothing_is_left_behind(pki: Path, tmp_path: Path) -> None:
    guests, shell = machine_of(pki, tmp_path)
    files = {path.name: path.read_bytes() for path in shell.path("/etc/kubernetes/pki").iterdir()}
    entry, _ = inject(site_of(guests), "expire-certificate", certificate="apiserver")
    certificate = shell.path("/etc/kubernetes/pki/apiserver.crt")
    assert certificate.read_bytes() != files["apiserver.crt"]
    # a second time, as after a heal that was killed before it was struck off
    for _ in range(2):
        heal(site_of(guests), entry)
        now = {path.name: path.read_bytes() for path in shell.path("/etc/kubernetes/pki").iterdir()}
        assert now == files
        assert not shell.path("/etc/kubernetes/halab-held").exists()
    assert sum("pkill -KILL" in command for command in guests.commands("cp2")) == 2


def test_a_heal_that_failed_before_the_restart_is_repeated(pki: Path, tmp_path: Path) -> None:
    guests, shell = machine_of(pki, tmp_path)
    entry, _ = inject(site_of(guests), "expire-certificate", certificate="apiserver")
    guests.answers["pkill"] = [Unreachable("cp2 does not answer"), ""]
    with pytest.raises(Unreachable):
        heal(site_of(guests), entry)
    heal(site_of(guests), entry)
    # once for the fault, and twice for its heals
    assert sum("pkill -KILL" in command for command in guests.commands("cp2")) == 3
    assert not shell.path("/etc/kubernetes/halab-held").exists()


def test_a_failed_signature_replaces_nothing(pki: Path, tmp_path: Path) -> None:
    guests, shell = machine_of(pki, tmp_path)
    certificate = shell.path("/etc/kubernetes/pki/apiserver.crt")
    valid = certificate.read_bytes()
    shell.path("/etc/kubernetes/pki/ca.key").write_text("no key")
    with pytest.raises(CommandFailed):
        inject(site_of(guests), "expire-certificate", certificate="apiserver")
    assert certificate.read_bytes() == valid
    assert not any("pkill" in command for command in guests.commands("cp2"))


# the fault


def test_the_effect_is_real_when_the_expired_certificate_is_served() -> None:
    silent = Completed(1, "", "")
    guests = FakeGuests({"s_client": [silent, VALID, EXPIRED], "pgrep -o": list(STARTED)})
    _, seen = inject(site_of(guests), "expire-certificate", certificate="apiserver")
    assert seen == "kube-apiserver serves a certificate that expired at Nov 22 10:00:00 2026 GMT"


def test_a_component_that_did_not_restart_has_not_loaded_it() -> None:
    with pytest.raises(TimedOut, match="kube-apiserver has not restarted yet"):
        inject(
            site_of(FakeGuests({"pgrep -o": "1000\n", "s_client": EXPIRED})),
            "expire-certificate",
            certificate="apiserver",
        )


@pytest.mark.parametrize(("certificate", "with_kubelet"), [("apiserver", True), ("etcd-peer", False)])
def test_the_kubelet_is_restarted_except_for_etcd(certificate: str, with_kubelet: bool) -> None:
    guests = FakeGuests({"s_client": EXPIRED, "pgrep -o": list(STARTED)})
    inject(site_of(guests), "expire-certificate", certificate=certificate)
    (kill,) = [command for command in guests.commands("cp2") if "pkill -KILL" in command]
    assert ("systemctl restart kubelet" in kill) is with_kubelet


def test_a_client_certificate_has_expired_when_etcd_refuses_it() -> None:
    said = "curl: (56) OpenSSL SSL_read: sslv3 alert certificate expired\n"
    guests = FakeGuests(
        {"curl": [Completed(0, '{"health":"true"}', ""), Completed(56, said, "")], "pgrep -o": list(STARTED)}
    )
    _, seen = inject(site_of(guests), "expire-certificate", certificate="apiserver-etcd-client")
    assert seen == f"etcd refuses kube-apiserver: {said.strip()}"


@pytest.mark.parametrize(
    ("certificate", "key"), [("apiserver", "ca.key"), ("apiserver-etcd-client", "etcd/ca.key")]
)
def test_without_the_key_of_the_ca_no_certificate_is_signed(certificate: str, key: str) -> None:
    guests = FakeGuests({"test -e": Completed(1, "", "")})
    with pytest.raises(Unable, match=f"cp2 lacks the CA's key.*: /etc/kubernetes/pki/{key}"):
        inject(site_of(guests), "expire-certificate", certificate=certificate)
    assert len(guests.calls) == 1


def test_a_certificate_that_another_fault_replaced_is_refused() -> None:
    guests = FakeGuests({"ls ": "/etc/kubernetes/halab-held/77/apiserver.crt\n"})
    with pytest.raises(
        BadUsage, match="another fault has already replaced this certificate on cp2: apiserver"
    ):
        inject(site_of(guests), "expire-certificate", certificate="apiserver")


@pytest.mark.parametrize("there", ["there\n", ""])
def test_a_component_is_restarted_if_there_is_a_valid_certificate(there: str) -> None:
    guests = FakeGuests({"&& echo there": there})
    heal(site_of(guests), Entry("1", "expire-certificate", "cp2", {"certificate": "apiserver"}))
    commands = guests.commands("cp2")
    assert any("pkill -KILL" in command for command in commands) is bool(there)
    assert commands[-1].startswith("rm -rf /etc/kubernetes/halab-held/1")
