"""Guards for the clients that call other services: a breaker for every origin."""
