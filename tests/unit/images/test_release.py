"""The source `release`, with a release server and a registry that the tests start."""

from __future__ import annotations

import hashlib
import json
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from support.fake_release import FakeRelease, digest, serving, tar_gz

from halab.config.kubernetes import RELEASES, BundleSource
from halab.errors import BadUsage, Corrupted, HalabError, HostProblem, TimedOut
from halab.images import bundle, cache
from halab.images.bundle import Bundle
from halab.images.download import Downloads
from halab.images.release import Hosts, Official
from halab.progress import Quiet

RELEASE = RELEASES["1.37"]


class NoTime:
    """A clock on which sleeping takes no time."""

    def __init__(self) -> None:
        self.at = 0.0

    def now(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += seconds


def connect() -> httpx.Client:
    # without proxies and certificates: the server is on this host, and speaks HTTP
    return httpx.Client(follow_redirects=True, trust_env=False, verify=False)


@pytest.fixture(autouse=True)
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HALAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def host() -> Iterator[FakeRelease]:
    with serving(FakeRelease(RELEASE, cache.architecture())) as fake:
        yield fake


def ensure(host: FakeRelease) -> Bundle:
    maker = Official(host.hosts, Downloads(connect, NoTime()))
    return bundle.ensure(RELEASE, BundleSource.RELEASE, Quiet(), makers={BundleSource.RELEASE: maker})


def fetch(host: FakeRelease, path: str, target: Path, sha256: str | None = None) -> None:
    expected = sha256 or hashlib.sha256(host.files[path]).hexdigest()
    Downloads(connect, NoTime()).file(f"{host.address}{path}", target, expected, Quiet())


def test_a_bundle_of_official_files_is_complete(host: FakeRelease) -> None:
    made = ensure(host)
    made.verify()
    assert [path.name for path in made.binaries()] == [
        "containerd", "containerd-shim-runc-v2", "ctr",
        "etcdctl", "etcdutl", "kubeadm", "kubectl", "kubelet",
    ]  # fmt: skip
    assert all(path.read_text() == f"official {path.name}" for path in made.binaries())
    assert len(made.images()) == 7


def test_origins_are_addresses_with_their_checksums(host: FakeRelease) -> None:
    files = ensure(host).manifest.files
    sha256 = hashlib.sha256(b"official kubeadm").hexdigest()
    assert files["bin/kubeadm"].origin == (f"{host.address}{host.binary_path('kubeadm')} sha256:{sha256}",)
    index = digest(host.files["/v2/pause/manifests/3.10.2"])
    assert files["images/pause.tar"].origin == (f"{host.address}/pause:3.10.2@{index}",)
    assert files["bin/etcdctl"].origin == ("out of registry.k8s.io/etcd:3.7.3-0",)


def test_an_image_keeps_its_manifest_and_has_its_full_name(host: FakeRelease) -> None:
    with tarfile.open(ensure(host).path / "images/coredns.tar") as archive:
        index = archive.extractfile("index.json")
        assert index
        entry = json.load(index)["manifests"][0]
        names = archive.getnames()
    assert entry["annotations"]["io.containerd.image.name"] == "registry.k8s.io/coredns/coredns:v1.14.6"
    assert f"/v2/coredns/coredns/manifests/{entry['digest']}" in host.files
    assert len([name for name in names if name.startswith("blobs/sha256/")]) == 3


def test_redirects_are_followed(host: FakeRelease) -> None:
    path = host.binary_path("kubelet")
    host.files["/elsewhere"] = host.files.pop(path)
    host.redirects[path] = "/elsewhere"
    assert ensure(host).binary("kubelet").read_text() == "official kubelet"


def test_a_file_with_a_wrong_checksum_is_corrupted_and_removed(
    host: FakeRelease, cache_folder: Path
) -> None:
    host.files[host.binary_path("kubectl")] = b"something else"
    with pytest.raises(Corrupted, match="kubectl"):
        ensure(host)
    assert list(cache_folder.rglob("kubectl*")) == []
    assert bundle.installed() == []


def test_a_checksum_file_without_a_checksum_is_corrupted(host: FakeRelease) -> None:
    host.files[f"{host.binary_path('kubectl')}.sha256"] = b"<html>please log in</html>"
    with pytest.raises(Corrupted, match="not a checksum"):
        ensure(host)


def test_a_broken_download_continues_where_it_ended(host: FakeRelease, tmp_path: Path) -> None:
    host.files["/big"] = bytes(range(256)) * 40
    host.truncate["/big"] = 2
    fetch(host, "/big", tmp_path / "big")
    assert (tmp_path / "big").read_bytes() == host.files["/big"]
    assert [ranged for _, ranged in host.asked] == ["", "bytes=5120-", "bytes=7680-"]


def test_a_download_that_breaks_every_time_fails_and_keeps_its_partial_file(
    host: FakeRelease, tmp_path: Path
) -> None:
    host.files["/big"] = bytes(8192)
    host.truncate["/big"] = 9
    with pytest.raises(HalabError, match="download failed 4 times") as caught:
        fetch(host, "/big", tmp_path / "big")
    assert caught.value.hint and "continues where it stopped" in caught.value.hint
    assert not (tmp_path / "big").exists()
    host.truncate.clear()
    fetch(host, "/big", tmp_path / "big")
    assert host.asked[-1] == ("/big", "bytes=7680-")


def test_a_complete_file_is_not_downloaded_again(host: FakeRelease, tmp_path: Path) -> None:
    host.files["/big"] = bytes(100)
    (tmp_path / "big.part").write_bytes(bytes(100))
    fetch(host, "/big", tmp_path / "big")
    fetch(host, "/big", tmp_path / "big")
    assert host.asked == [("/big", "bytes=100-")]


def test_a_busy_server_is_asked_again(host: FakeRelease) -> None:
    host.broken[host.binary_path("kubelet")] = 2
    assert ensure(host).binary("kubelet").read_text() == "official kubelet"


def test_an_unknown_version_is_bad_usage(host: FakeRelease) -> None:
    del host.files[f"{host.binary_path('kubeadm')}.sha256"]
    with pytest.raises(BadUsage, match=r"has no Kubernetes 1\.37\.2"):
        ensure(host)


def test_a_missing_file_is_named(host: FakeRelease) -> None:
    del host.files["/v2/pause/manifests/3.10.2"]
    with pytest.raises(HalabError, match=r"not found: .*/v2/pause/manifests/3\.10\.2"):
        ensure(host)


def test_an_image_without_this_architecture_is_a_host_problem(host: FakeRelease) -> None:
    host.add_image("pause:3.10.2", tar_gz({}), architecture="s390x")
    with pytest.raises(HostProblem, match=r"not made for .*: pause:3\.10\.2") as caught:
        ensure(host)
    assert caught.value.hint == "it is made for s390x"


def test_a_layer_with_a_wrong_digest_is_corrupted(host: FakeRelease) -> None:
    path = host.add_image("pause:3.10.2", tar_gz({"pause": b"official"}))
    host.files[path] = tar_gz({"pause": b"another"})
    with pytest.raises(Corrupted, match="/v2/pause/blobs/sha256:"):
        ensure(host)


def test_a_manifest_with_a_wrong_digest_is_corrupted(host: FakeRelease) -> None:
    for path in [path for path in host.files if path.startswith("/v2/pause/manifests/sha256:")]:
        host.files[path] += b" "
    with pytest.raises(Corrupted, match="/v2/pause/manifests/sha256:"):
        ensure(host)


def test_a_web_page_instead_of_an_index_is_corrupted(host: FakeRelease) -> None:
    host.files["/v2/pause/manifests/3.10.2"] = b"<html>please log in</html>"
    with pytest.raises(Corrupted, match="not an answer of a registry"):
        ensure(host)


def test_a_digest_with_a_path_is_corrupted(host: FakeRelease) -> None:
    manifest = json.dumps({"config": {"digest": "sha256:../../x", "size": 1}, "layers": []}).encode()
    platform = {"os": "linux", "architecture": cache.architecture()}
    index = {"manifests": [{"digest": digest(manifest), "size": 1, "platform": platform}]}
    host.files["/v2/pause/manifests/3.10.2"] = json.dumps(index).encode()
    host.files[f"/v2/pause/manifests/{digest(manifest)}"] = manifest
    with pytest.raises(Corrupted, match="not a sha256 digest"):
        ensure(host)


def test_an_unreachable_server_is_an_obstacle() -> None:
    # a closed port of this host
    problem = Official(Hosts(binaries="http://127.0.0.1:9"), Downloads(connect)).obstacle(
        RELEASE, patience_seconds=5
    )
    assert isinstance(problem, HostProblem)
    assert problem.message.startswith("127.0.0.1:9: ")


def test_a_silent_server_is_an_obstacle_after_the_time_limit() -> None:
    never = threading.Event()

    def hang() -> httpx.Client:
        never.wait(10)
        return connect()

    problem = Official(downloads=Downloads(hang)).obstacle(RELEASE, patience_seconds=0.05)
    never.set()
    assert problem and "no answer within" in problem.message


def test_a_download_ends_at_its_time_limit_and_keeps_its_partial_file(
    host: FakeRelease, tmp_path: Path
) -> None:
    class Hours(NoTime):
        def now(self) -> float:
            self.at += 3600
            return self.at

    with pytest.raises(TimedOut, match="kubeadm"):
        url = f"{host.address}{host.binary_path('kubeadm')}"
        Downloads(connect, Hours()).file(url, tmp_path / "kubeadm", "", Quiet())
    assert (tmp_path / "kubeadm.part").read_text() == "official kubeadm"


def test_a_server_that_answers_in_time_is_no_obstacle(host: FakeRelease) -> None:
    assert Official(host.hosts, Downloads(connect)).obstacle(RELEASE, patience_seconds=5) is None


def test_a_server_error_is_an_obstacle(host: FakeRelease) -> None:
    host.broken[f"{host.binary_path('kubeadm')}.sha256"] = 1
    problem = Official(host.hosts, Downloads(connect)).obstacle(RELEASE, patience_seconds=5)
    assert problem and "answers 503" in problem.message
