"""Training data larger than a machine: raw tables cut by key into chunks, each prepared on its own, and merged.

What a chunk is, and how tables are judged in parts, is of the rooms ``daily`` and ``validation``, as for large days.
"""
