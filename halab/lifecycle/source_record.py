"""Records from which source code the components of a lab were built: the checkouts may have changed since."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import TypeAdapter

from halab.config.component_settings import SourceState
from halab.errors import LabProblem
from halab.images.component import PATCH
from halab.lifecycle.own_images import ComponentImage
from halab.machines.work import Work

_FILE = "sources.json"
_IMAGES = TypeAdapter(tuple[ComponentImage, ...])
_REBUILD = "rebuild the lab with `halab down && halab up`"


def record(images: Sequence[ComponentImage]) -> dict[str, str]:
    """The content of the record, as file name → text: the images that were built from source code."""
    built = tuple(image for image in images if image.source)
    return {_FILE: _IMAGES.dump_json(built, indent=2).decode() + "\n"}


def states(work: Work) -> dict[str, SourceState]:
    """Component → the source code that it was built from; empty if no lab was built, or none of it from a checkout."""
    return {image.component: image.source for image in _read(work) if image.source}


def patches(work: Work) -> dict[str, bytes]:
    """Component → what was not committed when it was built, for `git apply`; of those with changes."""
    built = {image.component: Path(image.archive.path).with_name(PATCH) for image in _read(work)}
    return {name: path.read_bytes() for name, path in built.items() if path.is_file()}


def images(work: Work, components: Sequence[str]) -> list[ComponentImage]:
    """The images of these components, with which the lab was built. Raises LabProblem if one is no longer there."""
    found = [image for image in _read(work) if image.component in components]
    if missing := sorted(set(components) - {image.component for image in found}):
        raise LabProblem(f"the lab was not built with {', '.join(missing)} from source code", hint=_REBUILD)
    for image in found:
        if not Path(image.archive.path).is_file():
            raise LabProblem(
                f"the image of {image.component} from {image.source} is no longer in the cache",
                hint=_REBUILD,
            )
    return found


def require_same(work: Work, now: Sequence[ComponentImage]) -> None:
    """Raise LabProblem if source code has changed since the lab was built."""
    if changed := change(work, now):
        raise LabProblem(changed, hint=f"{_REBUILD}, or undo the change")


def change(work: Work, now: Sequence[ComponentImage]) -> str:
    """Which component was built from other source code than that of now, in words; empty if none was."""
    before = states(work)
    for image in now:
        was = before.get(image.component)
        if was and image.source and was.digest != image.source.digest:
            return f"{image.component} of the lab was built from {was}, and the source code is now {image.source}"
    return ""


def _read(work: Work) -> tuple[ComponentImage, ...]:
    path = work.path / _FILE
    return _IMAGES.validate_json(path.read_bytes()) if path.exists() else ()
