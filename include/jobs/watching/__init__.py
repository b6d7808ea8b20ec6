"""What is counted of a day while it is scored, and of a version's training while it is evaluated, so that ``monitor_``
judges without reading a row. Stands on ``features``; the programs that score and evaluate use it.
"""
