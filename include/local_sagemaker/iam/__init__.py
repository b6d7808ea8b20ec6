"""Enforces roles' policies (`--enforce-iam`): what a request asks for, how IAM decides, the denials.

It imports only core. Imported by aws and the server.
"""
