"""What people write: lab, box and scenario files, validated.

Begin with lab.py and scenario.py; rules that no type can express are in scenario_rules.py.
"""
