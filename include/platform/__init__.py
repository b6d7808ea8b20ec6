"""What every verb stands on: the environment's settings, AWS's clients, S3 keys, the context of a run, Dag settings,
requests' common parts, the base of errors, notifications, pages, the measure of drift.

Every room above may import it; it imports only ``include.models.config`` and the plugins.
"""
