"""Public bug reports as files: a folder for each, with a lab and a scenario that reproduce it.

library.py finds them. versions.py says which of them the versions of a lab have. reproduction.py copies one into a
folder and keeps its lab up while its scenario runs.
"""
