"""What is asked of SageMaker: pure builders of API requests from a model's configuration, the environment and the run.

Job names are not here: the operators choose them, so that a retry finds its job again.
"""
