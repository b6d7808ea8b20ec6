"""What ``make new-model`` finds out about an unknown file: its format, what its columns are or nearly are, which ones
tell a time, and which would leak the target. None of this is needed once model.yaml declares it."""
