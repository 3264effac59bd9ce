"""A run as one file that people attach to a bug report: made without secrets, judged again, and run again.

Begin with archive.py, which makes and opens the file. redaction.py removes the secrets, replay.py plays the run again.
"""
