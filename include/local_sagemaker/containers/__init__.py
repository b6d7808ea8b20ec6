"""A container's program as a process with a private /opt/ml, its logs, and its data between S3 and its folders.

It imports only core. Imported by registry, endpoints and jobs.
"""
