"""One kind, three plugins in three places; ``python examples/polyglot [TEXT]`` asks each for the words of a text."""

from __future__ import annotations

import sys
from pathlib import Path

from dagstack_plugins import PluginError, PluginRegistry

HERE = Path(__file__).resolve().parent
TEXT = "Can't stop, 你好世界!"


def asked(registry: PluginRegistry, plugin: str, text: str) -> str:
    """What a segmenter answers; the same line calls it, wherever it runs."""
    try:
        return " | ".join(registry.get_plugin("segmenter", plugin).words(text=text).words)
    except (PluginError, ValueError) as error:  # from elsewhere, and from this process
        return f"failed: {error}"


def main(text: str) -> None:
    """Show the words of a text, as each plugin tells them."""
    registry = PluginRegistry()
    registry.add_hookspecs(HERE / "kinds")
    registry.discover(HERE / "plugins")
    with registry.running():
        for status in registry.status():
            answer = asked(registry, status.name, text) if status.state == "ready" else status.reason
            print(f"{status.name:<8} {status.runtime:<11} {answer}")


if __name__ == "__main__":
    main(" ".join(sys.argv[1:]) or TEXT)
