"""Reports from a run's folder: table, JUnit, JSON, HTML. They need no lab."""

from halab.report.render import render

__all__ = ["render"]
