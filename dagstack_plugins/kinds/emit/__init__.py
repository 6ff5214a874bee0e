"""A kind as other documents: Python, OpenRPC, JSON Schema, Markdown."""
