"""Scenarios on many labs, with one report.

Begin with library.py, which reads a matrix file, and plan.py, which says what is to be run.
"""
