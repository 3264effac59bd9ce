"""Many runs on one lab, with one report.

Begin with play.py: `play()` runs the plan (plan.py), and repairs the lab between runs.
"""
