"""The record of a run on disk, and what can be read from it.

Begin with folder.py, which reads a run's folder as evidence; events.py has the lines of the record, and timeline.py
writes them.
"""
