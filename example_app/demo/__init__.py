"""The demo: one story of a failing dependency, played with breakers and without."""
