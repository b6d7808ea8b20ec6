"""A container's program as a process with a private /opt/ml, its logs, and its data between S3 and its folders.

It imports core alone. Imported by registry, endpoints and jobs.
"""
