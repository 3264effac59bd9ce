"""The verdict on a recorded run, from its evidence alone. Begin with `judge()` in verdict.py."""
