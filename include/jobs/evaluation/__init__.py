"""What a model is worth: metrics, importances, refits over time, and the report."""
