-- The second half of a change in a Cluster. What has closed is forgotten later, if it still is closed:
-- a change that came after this one may have been announced before.

return announce(KEYS[1], KEYS[2], ARGV[1], ARGV[2], ARGV[3])
