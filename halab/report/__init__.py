"""A run's folder → what people and programs read: table, JUnit, JSON, HTML. No lab is needed."""

from halab.report.render import render

__all__ = ["render"]
