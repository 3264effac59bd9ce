"""What people write: the files of labs, boxes, scenarios, drills and game days, validated.

Begin with lab.py and scenario.py; rules that no type can express are in scenario_rules.py.
"""
