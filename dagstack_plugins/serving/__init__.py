"""Plugins of this process, offered to others as the tools of an MCP server."""
