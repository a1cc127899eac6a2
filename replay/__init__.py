"""The past again: recorded work run once more, and recorded load under other limits."""
