-- Return the figures of each worker, as name and figures in turn.

return holding(KEYS[1], clock())
