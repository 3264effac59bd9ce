"""Faults: their functions, their catalogue and their journal.

Begin with fault.py (what a fault is), catalogue.py (all faults) and injection.py (inject and heal). Every other module
holds similar faults, or what several faults use.
"""
