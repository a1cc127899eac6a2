"""Dispatch: who runs which job, and when."""
