"""SageMaker on one machine: AWS's wire protocol in front, real processes behind.

Rooms, each importing only those below it: server; pages; jobs; endpoints; registry and aws; containers, http and
iam; core. It imports nothing from the rest of the repository, and nothing there imports it.
"""
