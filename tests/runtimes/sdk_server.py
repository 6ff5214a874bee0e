"""A server by the official SDK alone, as authors of plugins write them: ``sdk_server.py FILE [PORT]``.

FILE is where it says what was cancelled; without a PORT it speaks over its standard streams.
"""

import asyncio
import sys
from pathlib import Path
from typing import TypedDict

from mcp.server import MCPServer

server = MCPServer("sdk")


class Answer(TypedDict):
    """What an oracle answers."""

    answer: str


@server.tool(name="oracle.sdk.ask")
async def ask(question: str, politely: bool = False) -> Answer:
    """Answer a question."""
    if question == "raise":
        raise ValueError("no such thing")
    if question == "wait":
        try:
            await asyncio.sleep(30)
        except BaseException:
            with Path(sys.argv[1]).open("a") as file:
                file.write("cancelled\n")
            raise
    return {"answer": f"sdk: {question}{' please' if politely else ''}"}


@server.tool(name="oracle.sdk.number")
def number(value: int = 0) -> int:
    """Any number."""
    return value


if __name__ == "__main__":
    if len(sys.argv) > 2:
        server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[2]))
    else:
        server.run("stdio")
