"""The model registry: model package groups and their versions.

It imports containers (for model data), http and core. Imported by the server.
"""
