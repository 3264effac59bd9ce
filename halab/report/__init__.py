"""Reports from a run's folder: table, JUnit, JSON, HTML. They need no lab. Begin with `render()` in render.py."""

from halab.report.render import render

__all__ = ["render"]
