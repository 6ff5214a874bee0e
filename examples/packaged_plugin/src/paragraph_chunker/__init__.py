"""The plugin 'paragraph-chunker' of kind 'chunker'."""
