"""Where scores are sent to beside S3."""
