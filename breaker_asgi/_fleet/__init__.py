"""The fleet: keeps the breakers of this process in step with those of other workers, by a store."""
