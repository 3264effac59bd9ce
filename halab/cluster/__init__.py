"""Requests to etcd, the API, the nodes and the load balancer.

Begin with steady.py, which uses most of them: it says what a lab lacks to be steady.
"""
