"""A day's raw data to rows to score: its tables, its chunks, rows replayed after quarantine."""
