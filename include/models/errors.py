"""The error of a job that knows what went wrong."""


class JobError(Exception):
    """A failure that is understood: the message becomes the job's failure reason, without a traceback.

    It is all that the person on call gets: what failed, what was found, what is allowed, what to do.
    """
