"""What the host lends to plugins: the standard resources, the registry that holds them, and what a plugin sees.

The public names are those of ``dagstack_plugins``; importing this package alone loads none of its modules.
"""
