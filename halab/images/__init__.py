"""What machines start from.

bundle.py builds the Kubernetes payload of one version, and box.py builds the root file system or disk of a machine.
Both are cached (cache.py).
"""
