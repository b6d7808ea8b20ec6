"""From a raw file to typed values: ``reader`` returns its rows as text, ``kinds`` parses their cells.

The only place that knows file formats. Validation, daily scoring, replayed rows and ``make new-model`` read through it;
it imports only the contract.
"""
