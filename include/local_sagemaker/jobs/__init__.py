"""Processing, training, transform and tuning jobs: their operations, the queue, and how each kind runs.

It imports endpoints, containers, http and core. Imported by the server.
"""
