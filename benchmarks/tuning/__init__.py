"""Settings and rules in simulated situations: the calls that they answer, fail and reject."""
