"""Make a scenario that fails smaller: fewer faults, fewer steps, shorter waits, and the same failure.

Begin with session.py: it tries the smaller scenarios (candidate.py) that the search (search.py) asks for.
"""
