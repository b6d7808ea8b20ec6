"""A model's artifact, the requests it answers, and what is kept of them."""
