"""``train_<model>``: from raw data to a registered version, if it passes its gates.

deploy, monitor and ops may import it; it imports registry and platform, never score.
"""
