"""The provider libvirt: machines are virtual.

Begin with hypervisor.py, which is the `Provider`; machines.py and power.py have the machines of one lab.
"""
