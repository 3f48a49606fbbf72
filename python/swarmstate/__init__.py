"""The state layer under AI agents."""
