"""Up, down, start, stop, scale, upgrade, snapshots and status of a lab.

Begin with up.py; providers.py chooses the provider, and lab.py opens the lab's file and work folder.
"""
