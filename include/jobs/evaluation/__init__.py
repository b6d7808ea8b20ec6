"""What a model is worth: metrics, importances, refits over time, and the report.

Used by train_model and evaluate_model. It stands on ``features`` and ``serving``.
"""
