"""The costs of state that processes share, and the time until all of them agree."""
