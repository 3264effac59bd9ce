"""A small release host and registry on 127.0.0.1 for the source `release`, which can be told to fail."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from halab.config.kubernetes import Release
from halab.images.image_names import image_names
from halab.images.image_tar import INDEX_TYPE, MANIFEST_TYPE
from halab.images.release import Hosts


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def tar_gz(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return gzip.compress(buffer.getvalue(), mtime=0)


class FakeRelease:
    """The content by path. `truncate` and `broken` are the numbers of answers that are cut in half or fail."""

    def __init__(self, release: Release, architecture: str) -> None:
        self.release = release
        self.architecture = architecture
        self.files: dict[str, bytes] = {}
        self.truncate: dict[str, int] = {}
        self.redirects: dict[str, str] = {}
        self.broken: dict[str, int] = {}
        self.asked: list[tuple[str, str]] = []
        self.address = ""
        self._add_binaries()
        for name, full in image_names(release).items():
            programs = ["etcd", "etcdctl", "etcdutl"] if name == "etcd" else [name]
            layer = tar_gz(
                {f"usr/local/bin/{program}": f"official {program}".encode() for program in programs}
            )
            self.add_image(full.partition("/")[2], layer)

    @property
    def hosts(self) -> Hosts:
        return Hosts(self.address, self.address, f"{self.address}/containerd")

    def binary_path(self, name: str) -> str:
        return f"/release/v{self.release.kubernetes}/bin/linux/{self.architecture}/{name}"

    def add_image(self, name: str, layer: bytes, *, architecture: str | None = None) -> str:
        """Serve an image with one layer; the path of that layer."""
        repository, _, tag = name.rpartition(":")
        config = json.dumps({"architecture": architecture or self.architecture, "os": "linux"}).encode()
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST_TYPE,
                "config": {"digest": digest(config), "size": len(config)},
                "layers": [{"digest": digest(layer), "size": len(layer)}],
            }
        ).encode()
        platform = {"os": "linux", "architecture": architecture or self.architecture}
        entries = [{"mediaType": MANIFEST_TYPE, "digest": digest(manifest), "size": 1, "platform": platform}]
        index = json.dumps({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": entries}).encode()
        base = f"/v2/{repository}"
        self.files[f"{base}/manifests/{tag}"] = index
        self.files[f"{base}/manifests/{digest(manifest)}"] = manifest
        self.files[f"{base}/blobs/{digest(config)}"] = config
        self.files[f"{base}/blobs/{digest(layer)}"] = layer
        return f"{base}/blobs/{digest(layer)}"

    def _add_binaries(self) -> None:
        for name in ("kubeadm", "kubelet", "kubectl"):
            content = f"official {name}".encode()
            self.files[self.binary_path(name)] = content
            self.files[f"{self.binary_path(name)}.sha256"] = hashlib.sha256(content).hexdigest().encode()
        version = self.release.containerd
        archive = f"containerd-static-{version}-linux-{self.architecture}.tar.gz"
        names = ("containerd", "containerd-shim-runc-v2", "ctr", "containerd-stress")
        content = tar_gz({f"bin/{name}": f"official {name}".encode() for name in names})
        path = f"/containerd/v{version}/{archive}"
        self.files[path] = content
        self.files[f"{path}.sha256sum"] = f"{hashlib.sha256(content).hexdigest()}  {archive}\n".encode()


@contextmanager
def serving(fake: FakeRelease) -> Iterator[FakeRelease]:
    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def log_message(self, format: str, *args: object) -> None:
            pass

        def _answer(self, *, body: bool) -> None:
            fake.asked.append((self.path, self.headers.get("Range", "")))
            if self.path in fake.redirects:
                self.send_response(307)
                self.send_header("Location", fake.redirects[self.path])
                self.end_headers()
                return
            if fake.broken.get(self.path, 0):
                fake.broken[self.path] -= 1
                self.send_error(503)
                return
            if self.path not in fake.files:
                self.send_error(404)
                return
            self._send(fake.files[self.path], body=body)

        def _send(self, content: bytes, *, body: bool) -> None:
            start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").partition("-")[0])
            if start >= len(content):
                self.send_error(416)
                return
            content = content[start:]
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if fake.truncate.get(self.path, 0):
                fake.truncate[self.path] -= 1
                content = content[: len(content) // 2]
            if body:
                self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    fake.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
