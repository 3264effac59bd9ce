"""The labs of a matrix on other hosts, through a scheduler of dask.

Begin with fleet.py, which gives labs to the hosts of roster.py and takes their runs, and agent.py, which runs on each
host. A lab is sent as a parcel (parcel.py), played in a folder of its own there (place.py), by a process of its own
(player.py). Only dask_cluster.py knows dask.
"""
