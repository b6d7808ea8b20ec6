"""The online service: raw events or features in, predictions out, over HTTP, with training's own feature engineering.

``reading`` parses a request, ``state`` remembers what is known of each machine, ``answering`` builds the features and
asks a backend (``local``: the artifact in this process; ``endpoint``: SageMaker's), ``app`` is the API. Builds on
``jobs`` and ``models``; imports nothing of Airflow's side but ``platform.storage``, which spells keys.
"""
