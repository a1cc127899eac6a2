"""Hivelog: a job queue that keeps its whole history."""

__version__ = "0.1.0"
