"""The other AWS services: moto, boto3 clients that call it in process, alarm evaluation and event delivery.

It imports iam, http and core. Imported by endpoints and the server.
"""
