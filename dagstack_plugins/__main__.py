"""``python -m dagstack_plugins``: the command ``dagstack-plugins``."""

from __future__ import annotations

from dagstack_plugins.cli import main

if __name__ == "__main__":
    main()
