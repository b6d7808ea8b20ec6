"""Versions of a model: in the Model Registry, in the production history, and the requests and the card that register
one.

The verbs (train, score, deploy, monitor) and ops may import it; it imports platform and what platform may import.
"""
