"""This host: its allocations, locks and routes, and tunnels to other hosts.

Nothing here depends on a provider. Begin with allocation.py, which chooses the network of a lab.
"""
