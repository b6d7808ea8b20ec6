"""What every verb stands on: the environment's settings, S3 keys, the context of a run, Dag settings, requests' common
parts, notifications, pages.

Every room above may import it; it imports only ``include.models.config`` and the plugins.
"""
