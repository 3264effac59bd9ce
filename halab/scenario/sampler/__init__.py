"""The process that asks the probes, from outside the cluster.

Begin with launcher.py, which starts it; probes.py says what is asked, and process.py is the process.
"""
