"""A chat that streams tokens, with failover from one provider to another."""
