from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dagstack_plugins import PluginContext


class LargestFiles:
    def setup(self, ctx: PluginContext) -> None:
        self._rows = ctx.config.get("rows", 5)

    def measure(self, files: list[Any]) -> dict[str, Any]:
        largest = sorted(files, key=lambda file: (-file.lines, file.path))[: self._rows]
        rows = [[file.path, file.lines, file.size] for file in largest]
        return {"title": "Largest files", "columns": ["Path", "Lines", "Bytes"], "rows": rows}
