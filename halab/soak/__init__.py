"""Random faults on a lab that is up, round after round, until the time is over or a round fails.

Begin with play.py: `play()` draws a round (draw.py) from the faults that the lab can take (menu.py), and plays it as a
scenario.
"""
