"""Hivelog: a job queue that keeps its whole history."""

from .broker.context import JobContext
from .broker.registry import registry

__version__ = "0.1.0"

handler = registry.handler
on_startup = registry.on_startup
on_shutdown = registry.on_shutdown
middleware = registry.around

__all__ = ["JobContext", "__version__", "handler", "middleware", "on_shutdown", "on_startup"]
