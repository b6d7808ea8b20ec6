"""Pages for people under /_local/: what there is, logs, and objects of S3, with their templates.

It imports http and core. Imported by the server.
"""
