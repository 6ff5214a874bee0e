"""Units of work: long operations of plugins, which are queued, survive the process, and end exactly once."""
