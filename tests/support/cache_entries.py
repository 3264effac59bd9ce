"""Parts of a cache for tests: a bundle, a box and the image of a component, small, and with right checksums."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

from halab.config.kube_vip import KubeVip
from halab.config.kubernetes import DEFAULT, BundleSource, resolve
from halab.images import box, bundle, cache, component, manifest
from halab.images.manifest import FileRecord

RELEASE = resolve(DEFAULT)
KUBE_VIP = component.kube_vip(KubeVip())


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def write_bundle(source: BundleSource = BundleSource.MODULES) -> str:
    """Write a bundle into the cache, and return its name."""
    ((name, key),) = bundle.names(RELEASE, source).items()
    folder = cache.folder() / "bundles" / name
    contents = {"bin/kubeadm": b"kubeadm " * 100, "images/etcd.tar": b""}
    records = {
        path: FileRecord(sha256=sha256(each), size=len(each), origin=()) for path, each in contents.items()
    }
    for path, content in contents.items():
        _write(folder / path, content, 0o755)
    made = manifest.BundleManifest(
        format=manifest.FORMAT, key=key, kubernetes=RELEASE.kubernetes, source=source,
        architecture=cache.architecture(), components={}, created=datetime.now(UTC), files=records,
    )  # fmt: skip
    manifest.write(folder, made)
    return f"bundles/{name}"


def write_box(bundle_name: str) -> str:
    """Write the box with this bundle into the cache, and return its name."""
    key = box.key("debian-12", bundle_name.rpartition("-")[2])
    folder = cache.folder() / "boxes" / f"debian-12-{key}"
    _write(folder / "root.tar", b"root" * 1000, 0o644)
    noted = {"kubernetes": RELEASE.kubernetes, "source": "modules", "sha256": sha256(b"root" * 1000)}
    (folder / "box.json").write_text(json.dumps(noted))
    return f"boxes/debian-12-{key}"


def write_component() -> str:
    """Write the image of kube-vip into the cache, and return its name."""
    name = component.folder_name(KUBE_VIP)
    folder = cache.folder() / "components" / name
    _write(folder / KUBE_VIP.archive, b"image", 0o644)
    record = FileRecord(sha256=sha256(b"image"), size=5, origin=())
    (folder / "component.json").write_text(record.model_dump_json())
    return f"components/{name}"


def _write(path: Path, content: bytes, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(mode)
