"""The machines of a lab: what the providers share.

Begin with provider.py and power.py, which the packages `docker` and `libvirt` implement; guests.py runs commands inside
machines.
"""
