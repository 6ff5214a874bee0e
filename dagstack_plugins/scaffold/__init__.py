"""Files to begin with: a kind, a plugin, a package."""
