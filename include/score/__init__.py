"""``score_<model>``: from a day's raw data to published scores, and everything that knows which days are done.

deploy, monitor and ops may import it; it imports registry and platform, never train.
"""
