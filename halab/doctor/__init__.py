"""Checks of this host, each with the exact fix."""

from halab.doctor.examination import Report, examine, require
from halab.doctor.silence import explained

__all__ = ["Report", "examine", "explained", "require"]
