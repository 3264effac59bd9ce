"""Checks of this host, with the exact fix for every problem. Begin with run_checks.py, which has the list of them."""

from halab.doctor.boot_hints import explained
from halab.doctor.run_checks import Report, examine, require

__all__ = ["Report", "examine", "explained", "require"]
