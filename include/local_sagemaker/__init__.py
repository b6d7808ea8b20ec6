"""A SageMaker on one machine: the AWS wire protocol in front, real processes behind."""
