"""What ``make new-model`` sees in a file that it knows nothing of: how it is written, what its columns are or nearly
are, what tells a time, and what would give the target away. Nothing here is needed once a model.yaml says it."""
