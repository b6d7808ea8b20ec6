"""Versions of a model: in the Model Registry, in production's history, and the requests and card that register one.

The verbs (train, score, deploy, monitor) and ops may import it; it imports platform and what platform may import.
"""
