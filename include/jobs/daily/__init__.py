"""From a day's raw data to rows to score: its tables, its chunks, rows replayed after quarantine.

Builds on ``validation``; the programs validate_input, build_features and validate_scores use it.
"""
