"""What every verb builds on: the environment's settings, AWS clients, S3 keys, the context of a run, Dag settings,
common parts of requests, the base of errors, notifications, pages, the measure of drift.

Every room above may import it; it imports only ``include.models.config`` and the plugins.
"""
