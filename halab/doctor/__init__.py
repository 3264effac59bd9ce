"""Checks of this host, each with the exact fix."""

from halab.doctor.examination import Report, examine, require

__all__ = ["Report", "examine", "require"]
