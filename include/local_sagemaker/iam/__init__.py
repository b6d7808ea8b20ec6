"""Roles that are held to their policies (`--enforce-iam`): what a request asks for, how IAM decides, the denials.

It imports core alone. Imported by aws and the server.
"""
