"""The other AWS services: moto, boto3 clients that call it in process, evaluation of alarms, delivery of events.

It imports iam, http and core. Imported by endpoints and the server.
"""
