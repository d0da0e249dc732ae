-- Make the second half of a change in a Cluster. A closed breaker is removed from the list later, if
-- it is still closed: a later change may have been announced earlier.

return announce(KEYS[1], KEYS[2], ARGV[1], ARGV[2], ARGV[3])
