"""What scoring a single file needs in addition to a day's scoring.

Nothing imports this; see the modules.
"""
