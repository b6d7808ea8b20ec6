"""Evaluation of a model: metrics, importances, refits over time, and the report.

Used by train_model and evaluate_model. It builds on ``features`` and ``serving``.
"""
