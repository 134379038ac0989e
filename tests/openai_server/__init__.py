"""A test server that speaks OpenAI's protocol, refuses what OpenAI refuses, and keeps books of what it would bill."""
