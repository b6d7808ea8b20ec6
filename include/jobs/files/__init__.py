"""What scoring a single file takes besides what a day's scoring does.

Nothing imports this; see the modules.
"""
