"""Builds a highly available Kubernetes control plane on one machine, and breaks it on purpose."""

__version__ = "0.1.0"
