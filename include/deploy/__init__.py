"""``deploy_<model>`` and ``rollback``: an approved version through staging and a person's decision into production.

monitor and ops may import it; it imports train's gates, score, registry and platform.
"""
