"""Words are what stands between blanks; a program that knows nothing but the MCP SDK."""

from typing import TypedDict

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError

server = MCPServer("blanks")


class Segmented(TypedDict):
    words: list[str]


@server.tool(name="segmenter.blanks.words")
def words(text: str) -> Segmented:
    if not text.strip():
        raise ToolError("there is nothing to split")
    return {"words": text.split()}


if __name__ == "__main__":
    server.run("stdio")
