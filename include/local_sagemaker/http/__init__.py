"""The WSGI application: what answers which request, and messages held against botocore's model of the API.

It imports core alone. Imported by every room but core, iam and containers.
"""
