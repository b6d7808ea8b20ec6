"""What make does, from Python: train, promote, backfill, and a day's scores as a table; on a laptop and through MWAA.

from include.client import Client

client = Client.laptop()                      # or Client.mwaa("ml-prod", bucket="ml-prod-ml-123456789012")
run = client.train("late_books").wait()
client.promote("late_books", version=3)
client.backfill("late_books", "2015-06-01", "2015-06-07").wait()
client.scores("late_books", "2015-06-01")    # polars; .to_pandas() for the other

For notebooks and programs outside: no room imports it, and it imports nothing of Airflow.
"""

from include.client.client import Client, ClientError, Run

__all__ = ["Client", "ClientError", "Run"]
