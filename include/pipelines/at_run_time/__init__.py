"""What a task asks of SageMaker at the moment when it runs: facts of the environment, what lies in S3 and the registry,
and what earlier tasks handed on, given to the pure builders in ``include/sagemaker_requests``. One module for each
shape of Dag."""
