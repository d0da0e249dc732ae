-- The second half of a change in a Cluster.

announce(KEYS[1], KEYS[2], ARGV[1], ARGV[2], ARGV[3])
