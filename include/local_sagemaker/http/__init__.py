"""The WSGI application: routing of requests, and validation against botocore's model of the API.

It imports only core. Imported by every room but core, iam and containers.
"""
