"""A model's artifact, the requests it answers, and what is kept of them.

Goes into every artifact as the code that serves it, so it imports ``features`` and the models, nothing of training.
"""
