"""Plugins that most programs with graphs want."""
