"""The shapes of Dags: functions that make a Dag from a model's configuration."""
