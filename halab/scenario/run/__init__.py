"""The runner: it injects faults, waits and records.

Begin with session.py, which opens a run on a lab, and runner.py, which takes the steps of the scenario; by_hand.py
injects and heals faults without a scenario.
"""
