"""The domain and the log: what may happen to a job, and what did."""
