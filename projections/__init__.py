"""Read models folded from the log: search, statistics, failures, workers."""
