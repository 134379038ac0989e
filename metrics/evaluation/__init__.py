"""How good a workspace's graph is, against gold of the user's own."""
