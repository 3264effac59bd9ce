"""Drills: a hidden break, a learner, a fair grade.

Begin with play.py: it starts an attempt, checks its tasks and ends it. grade.py decides from evidence alone what is
done. attempt.py is the state on disk. lab_actions.py injects the break, observer.py asks the lab. prove.py is for
authors.
"""
