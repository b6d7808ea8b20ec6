"""From a raw file to typed values: ``reader`` gives its rows as text, ``kinds`` read their cells.

The one place that knows how a file is written. Validation, daily scoring, replayed rows and ``make new-model`` read
through it; it imports the contract alone.
"""
