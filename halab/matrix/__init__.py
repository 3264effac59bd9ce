"""Scenarios on many labs, with one report.

Begin with library.py, which reads a matrix file, plan.py, which says what is to be run, and session.py, which runs it.
"""
