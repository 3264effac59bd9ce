"""Game days: several breaks of one lab while a team works on it, with conditions that stop everything.

Begin with play.py. A game day is recorded and judged as a run of a scenario; run.py takes its breaks by the clock.
spectator.py follows one that runs in another process.
"""
