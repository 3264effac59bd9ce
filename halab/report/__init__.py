"""Reports from the folders of runs: table, JUnit, JSON, HTML. They need no lab.

Begin with `render()` in render.py, or, for the bounds of scenarios, with bounds.py.
"""

from halab.report.render import render

__all__ = ["render"]
