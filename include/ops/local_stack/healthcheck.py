#!/usr/bin/env python3
"""The health check of Airflow's containers: ``healthy scheduler``. Exit status 0 if that component's last heartbeat, as
the API server knows it, is recent. (``airflow jobs check`` would import Airflow for it: seconds of CPU, every time.)"""

import json
import sys
import urllib.request

with urllib.request.urlopen("http://airflow-api-server:8080/api/v2/monitor/health", timeout=8) as answer:
    status = (json.load(answer).get(sys.argv[1]) or {}).get("status")
print(f"{sys.argv[1]}: {status}")
sys.exit(status != "healthy")
