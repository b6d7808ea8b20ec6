"""HTML pages under /_local/: resources, logs, and objects of S3, with their templates.

It imports http and core. Imported by the server.
"""
