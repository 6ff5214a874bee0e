"""Plugins whose code runs elsewhere: the host reaches them by MCP, through the official SDK."""
