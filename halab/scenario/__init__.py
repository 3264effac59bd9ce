"""Run scenarios and judge them.

`run` injects and records, `sampler` asks the probes, `record` reads and writes the run's folder, `verdict` judges it,
and `watch` shows a lab live.
"""
