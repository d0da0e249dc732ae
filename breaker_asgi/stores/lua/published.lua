-- The figures of each worker, one after the other.

return holding(KEYS[1], clock())
