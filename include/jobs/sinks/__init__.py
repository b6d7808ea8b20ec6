"""Where scores are sent to beside S3.

Used by send_scores and check_kafka; it knows nothing of what is sent.
"""
