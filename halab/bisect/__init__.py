"""Which version of a component brought a bug in: a search over released versions with one scenario.

Begin with search.py, which decides which version is next and when the search is over. log.py is the record from which a
search goes on, session.py does the search. What the runs of a version mean is in the package `trials`.
"""
