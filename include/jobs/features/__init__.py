"""The feature table: its columns and splits on disk, and how features are distributed."""
