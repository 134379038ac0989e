"""Under which names we log."""

OURS = ("kg", "core_engine", "metrics", "cli")
