"""What checks do in test processes, one module each: load the plugin, call it, watch it, and tell what they saw."""
