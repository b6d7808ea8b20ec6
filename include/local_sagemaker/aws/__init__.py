"""The other AWS services: moto, boto3 clients that call it in process, alarms that are evaluated, events that are sent.

It imports iam, http and core. Imported by endpoints and the server.
"""
