"""What every other room uses: settings, the store of resources, a region's view of them, errors, pages of lists.

It imports no other room. Imported by every room.
"""
