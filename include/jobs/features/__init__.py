"""The feature table: its columns and splits on disk, and the distribution of features.

The lowest room: it imports only the models' interface and their contract.
"""
