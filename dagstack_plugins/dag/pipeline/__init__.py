"""Graphs in YAML, whose nodes are hooks of plugins."""
