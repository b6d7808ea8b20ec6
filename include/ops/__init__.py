"""What never runs inside Airflow: the stack on one machine, deployment to MWAA, CloudFormation templates.

Nothing may import it; it imports every room but the jobs and the local SageMaker, which it starts as programs.
"""

from typing import Any

Json = dict[str, Any]  # an object of a JSON answer or file
