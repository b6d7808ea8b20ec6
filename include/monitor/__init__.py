"""``monitor_<model>``: whether raw data came late, and whether what a version scores is still what it was trained on.

Only Dag files and ops may import it; it imports the rooms of the other verbs, registry and platform.
"""
