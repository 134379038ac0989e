"""A real Neo4j for tests: the one that is set, else Docker's, else one from Maven Central."""
