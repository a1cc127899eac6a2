"""Steady load for a long time: does anything grow, or get slower? See docs/reliability.md."""
