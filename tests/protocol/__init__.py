"""A deterministic simulation of the protocol: see README.md."""
