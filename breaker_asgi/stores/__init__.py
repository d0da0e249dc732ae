"""State that processes share: what one worker learns, all know."""
