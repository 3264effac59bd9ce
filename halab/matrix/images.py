"""Build what the labs of a matrix need: for a run in a place without a network, and before many labs begin at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from halab.config import kubernetes
from halab.config.lab import LabFile, ProviderKind, is_stock
from halab.images import box, bundle, component
from halab.matrix.plan import MatrixPlan
from halab.progress import Progress


def build(plan: MatrixPlan, shown: Progress) -> Iterator[Path]:
    """The bundles, boxes and images of components of the labs that can run something, each once.

    They come from the cache, or are built. What a lab takes from a checkout or a stock box is not among them.
    """
    labs = {cell.lab.name: cell.lab.written for cell in plan.playable}
    seen: set[Path] = set()
    for lab in labs.values():
        for path in _of(lab, shown):
            if path not in seen:
                seen.add(path)
                yield path


def _of(lab: LabFile, shown: Progress) -> Iterator[Path]:
    payload = bundle.ensure(kubernetes.resolve(lab.kubernetes.version), lab.kubernetes.source, shown)
    yield payload.path
    if not is_stock(lab.box):
        provider = ProviderKind.DOCKER if lab.provider is ProviderKind.AUTO else lab.provider
        yield box.ensure(lab.box, payload, shown, provider=provider).path
    for wanted in component.needed(lab):
        if wanted.name not in lab.source.by_name:
            yield Path(component.ensure(wanted, shown).path)
