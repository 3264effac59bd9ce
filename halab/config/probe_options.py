"""Options of probes, for a whole scenario: `probes: {list-via-lb: {objects: 2000}}`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

from halab.config.loading import Model
from halab.config.probe import ProbeName
from halab.config.quantities import Seconds

# A longer answer has no chance to arrive within the time limit of 2 s.
_MOST_BYTES = 32_000_000
# The API adds this to an object: names, times, the fields and who manages them (Kubernetes 1.37).
_BYTES_PER_OBJECT = 390
# Every authenticated client may ask for this list of API groups, and no other client.
DEFAULT_PATH = "/apis"
_PATH = re.compile(r"/[\w./?=&%:,~-]*", re.ASCII)


def _pod_limit(seconds: float) -> float:
    if not 2 <= seconds <= 60:
        raise ValueError("should be 2s to 60s")
    return seconds


def _api_path(text: str) -> str:
    if not _PATH.fullmatch(text):
        raise ValueError(f"should be a path of the API, such as /api/v1/nodes, not {text}")
    return text


class ListOptions(Model):
    """The objects of the namespace that `list-via-lb` lists."""

    example: ClassVar[str] = "{objects: 2000}"

    objects: int = Field(500, ge=1, le=10_000, description="how many objects there are")
    object_bytes: int = Field(200, ge=0, le=100_000, description="the data of an object")

    @property
    def answer_bytes(self) -> int:
        """About how long an answer is."""
        return self.objects * (self.object_bytes + _BYTES_PER_OBJECT)


class PodOptions(Model):
    """How soon a pod of `pod-starts` must run."""

    example: ClassVar[str] = "{limit: 10s}"

    limit: Annotated[Seconds, AfterValidator(_pod_limit)] = 10.0


class GetOptions(Model):
    """What `get-via-lb` or `get-direct` asks for."""

    example: ClassVar[str] = "{path: /api/v1/nodes}"

    path: Annotated[str, AfterValidator(_api_path)] = Field(
        DEFAULT_PATH, description="a path of the API, such as /api/v1/nodes"
    )


class WatchOptions(Model):
    """`watch-resuming` has no options. With `{}`, the probe is asked even if no step names it."""

    example: ClassVar[str] = "{}"


class ProbeOptions(Model):
    """The sampler also asks the probes that are named here, even if no expectation names them."""

    example: ClassVar[str] = "{list-via-lb: {objects: 2000}}"

    list_via_lb: ListOptions = Field(ListOptions(), alias="list-via-lb")
    get_via_lb: GetOptions = Field(GetOptions(), alias="get-via-lb")
    get_direct: GetOptions = Field(GetOptions(), alias="get-direct")
    pod_starts: PodOptions = Field(PodOptions(), alias="pod-starts")
    watch_resuming: WatchOptions = Field(WatchOptions(), alias="watch-resuming")

    @property
    def named(self) -> frozenset[str]:
        aliases = {name: str(field.alias) for name, field in type(self).model_fields.items()}
        return frozenset(aliases[name] for name in self.model_fields_set)

    @property
    def limits(self) -> dict[str, float]:
        """The time limits of probes that have one of their own, in seconds."""
        return {str(ProbeName.POD_STARTS): self.pod_starts.limit}

    @property
    def paths(self) -> dict[str, str]:
        """The paths that probes ask for, where a scenario can choose them."""
        return {
            str(ProbeName.GET_VIA_LB): self.get_via_lb.path,
            str(ProbeName.GET_DIRECT): self.get_direct.path,
        }

    def problems(self) -> Iterator[tuple[tuple[str, ...], str]]:
        if self.list_via_lb.answer_bytes > _MOST_BYTES:
            size = self.list_via_lb.answer_bytes // 1_000_000
            yield (
                ("probes", "list-via-lb"),
                f"an answer would have about {size} MB; the maximum is {_MOST_BYTES // 1_000_000} MB",
            )


DEFAULT_OPTIONS = ProbeOptions()
