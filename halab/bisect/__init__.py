"""Which version of a component brought a bug in: a search over released versions with one scenario.

Begin with search.py, which decides which version is next and when the search is over. answer.py says what the runs of a
version mean, and how sure that is. log.py is the record from which a search goes on, session.py does the search.
"""
