"""What is counted of a day while it is scored, and of a version's training while it is evaluated, so that ``monitor_``
can judge without reading any rows. Uses ``features``; the scoring and evaluating programs use it.
"""
