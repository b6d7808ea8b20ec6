"""Runs and model versions in MLflow.

Used by train_model, evaluate_model and the programs of model versions; MLflow itself is imported only when needed.
"""
