"""The stop condition about outages: which outages of a probe matter now. Pure."""

from __future__ import annotations

from halab.scenario.record.lanes import Lane
from halab.scenario.record.outage import Outage, Samples, outages

# Samples are read from this long before the bound, so that an outage longer than the bound is seen as longer.
_BEFORE_SECONDS = 10.0


def recent(samples: Samples, probe: str, bound: float, begun: float, now: float) -> list[Outage]:
    """The outages of a probe of the load balancer within a little more than its bound, in seconds of the run.

    Only samples since `begun` count. The last outage may still be open.
    """
    asked = samples.between(Lane(probe, None), max(begun, now - bound - _BEFORE_SECONDS), now)
    return outages(asked, max((sample.end for sample in asked), default=now))
