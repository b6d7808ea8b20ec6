"""The feature table: its columns and splits on disk, and how features are distributed.

The lowest room: it imports the models' interface and their contract.
"""
