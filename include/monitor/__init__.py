"""``monitor_<model>``: whether raw data arrived late, and whether a version still scores the kind of data it was
trained on.

Only Dag files and ops may import it; it imports the rooms of the other verbs, registry and platform.
"""
