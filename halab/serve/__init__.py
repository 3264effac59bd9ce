"""The pages of `halab serve`: a lab, its drill or its game day for learners, and what is hidden for trainers.

Begin with server.py, which runs everything. served_lab.py watches one lab in a thread, and publishes a board: what the
pages show. board.py makes it from what `halab watch`, `halab status` and `halab drill` know; what a learner may not
know is only on the board of trainers. day_board.py does the same for a game day. jobs.py runs the commands that a page
starts; learner_acts.py and trainer_acts.py say which. auth.py decides who may open a page, app.py has the routes,
pages.py draws.
"""
