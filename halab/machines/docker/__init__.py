"""The provider docker: machines are containers with systemd.

Begin with engine.py, which is the `Provider`; machines.py and power.py have the machines of one lab.
"""
