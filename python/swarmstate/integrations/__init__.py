"""Agent frameworks on a swarmstate store."""
