"""Models, endpoint configurations and endpoints: serving processes, the traffic between them, and invocations.

It imports containers, aws, http and core. Imported by jobs (a transform serves a model), pages and the server.
"""
