"""The images of a bundle, unpacked once by the bundle's own containerd: a box has them in /var/lib/containerd."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

from halab import packages, process
from halab.clock import Clock, Deadline, NotYet, RealClock, wait_for
from halab.errors import CommandFailed, HalabError, TimedOut
from halab.images.bundle import Bundle
from halab.progress import Step

# Where a machine finds the unpacked files of its box's images.
UNPACKED = Path("/usr/lib/halab/unpacked")

# A slow host is no failure: on one with other labs, containerd took more than a minute to answer, and questions to it
# more than 10 s. If containerd ends, nobody waits for it.
_START_SECONDS = 900
_QUESTION_SECONDS = 60
_UNPACK_SECONDS = 1800

# containerd makes this folder although its configuration names another one: containerd#10516.
_FIXED_STATE = Path("/run/containerd")
_OWN_RUN = ("--mount", "sh", "-c", 'mount -t tmpfs tmpfs /run && exec "$@"', "sh")

_CONFIG = """version = 3
root = '{root}'
state = '{state}'
disabled_plugins = ['io.containerd.cri.v1.images', 'io.containerd.cri.v1.runtime', 'io.containerd.grpc.v1.cri']
[grpc]
  address = '{socket}'
[ttrpc]
  address = '{socket}.ttrpc'
"""


def store_images(bundle: Bundle, tree: Path, step: Step, clock: Clock | None = None) -> None:
    """Unpack the bundle's images into a root file system. The step shows the image that is being unpacked.

    So no machine of a lab has to import them: that takes 7 to 15 s for three machines at once (2 cores).
    Layers are removed once they are unpacked: nothing pushes images from a lab.
    """
    root = tree / "var/lib/containerd"
    with TemporaryDirectory(prefix="halab-") as folder:
        scratch = Path(folder)
        socket, config, log = (
            scratch / "containerd.sock",
            scratch / "config.toml",
            scratch / "containerd.log",
        )
        config.write_text(_CONFIG.format(root=root, state=scratch / "state", socket=socket))
        daemon = _with_state([bundle.binary("containerd"), "--config", config, "--log-level", "warn"])
        ctr: list[str | Path] = [bundle.binary("ctr"), "--address", socket, "--namespace", "k8s.io"]

        with process.background(daemon, log=log) as child:

            def require_answer() -> None:
                if child.poll() is not None:
                    said = log.read_text(errors="replace")[-2000:]
                    raise HalabError(f"containerd exited with code {child.returncode}: {said}")
                try:
                    process.run([*ctr, "version"], timeout_seconds=_QUESTION_SECONDS)
                except (CommandFailed, TimedOut) as error:
                    step.note(f"containerd does not answer: {error.message.splitlines()[-1]}")
                    raise NotYet(error.message) from error

            step.note("containerd starts")
            deadline = Deadline.after(clock or RealClock(), _START_SECONDS)
            wait_for("containerd to answer", require_answer, deadline, every_seconds=0.2)
            for image in bundle.images():
                step.note(image.name)
                process.run(
                    [*ctr, "images", "import", "--local", "--discard-unpacked-layers", image],
                    timeout_seconds=_UNPACK_SECONDS,
                )
            # containerd collects garbage in the background: start it now, so that no layer is packed into the box
            process.run([*ctr, "content", "prune", "references"], timeout_seconds=_UNPACK_SECONDS)
    _move_out_of_volume(tree, root)


def _with_state(daemon: list[str | Path]) -> list[str | Path]:
    """The command of containerd. In a user namespace, it may not write to the host's /run and gets its own."""
    folder = _FIXED_STATE if _FIXED_STATE.exists() else _FIXED_STATE.parent
    if os.access(folder, os.W_OK):
        return daemon
    return [process.find("unshare", hint=packages.install("util-linux")), *_OWN_RUN, *daemon]


def _move_out_of_volume(tree: Path, root: Path) -> None:
    """Move the unpacked files out of containerd's folder, and leave links to them.

    On docker that folder is a volume, which starts as a copy of the image's files there: 540 MB and 1.2 s for every
    machine of every lab. Links take almost no space and time. containerd only reads these files (they are the lower
    layers of containers), and Linux lets an overlay have its lower layers on another overlay.
    """
    unpacked = tree / UNPACKED.relative_to("/")
    unpacked.mkdir(parents=True)
    for files in sorted((root / "io.containerd.snapshotter.v1.overlayfs/snapshots").glob("*/fs")):
        number = files.parent.name
        files.rename(unpacked / number)
        files.symlink_to(UNPACKED / number)
