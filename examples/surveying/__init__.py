"""What the readers and the writer of the survey are made of; nothing in here knows a store or a graph."""
