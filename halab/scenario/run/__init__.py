"""The runner: it injects faults, waits and records.

Begin with session.py, which opens a run on a lab, and runner.py, which takes the steps of the scenario.
"""
