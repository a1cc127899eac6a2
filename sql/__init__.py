"""Everything PostgreSQL is told: migrations, functions, queries, reports."""
def load(name: str) -> str:
    return name
