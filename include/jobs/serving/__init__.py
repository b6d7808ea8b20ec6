"""A model's artifact, the requests it answers, and their log.

Part of every artifact, as its serving code; so it imports ``features`` and the models, but nothing of training.
"""
