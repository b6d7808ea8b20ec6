"""Training data larger than a machine: raw tables partitioned by key into chunks, prepared separately and merged.

Chunks, and judging tables in parts, are in the rooms ``daily`` and ``validation``, as for large days.
"""
