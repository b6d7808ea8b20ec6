"""``deploy_<model>`` and ``rollback``: bring an approved version through staging and an approval into production, and
back.

monitor and ops may import it; it imports train's gates, score, registry and platform.
"""
