"""A run as one file that people attach to a bug report: made without secrets, judged again, and played again."""
