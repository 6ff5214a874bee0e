"""An MCP service over HTTP in the standard library alone, which misbehaves when it is asked to."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ANY = {"type": "object"}


class Handler(BaseHTTPRequestHandler):
    """Answers one connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Service

    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""

    def do_GET(self) -> None:
        self._send(405)

    def do_DELETE(self) -> None:
        self.server.heard.append("DELETE")
        self._send(200)

    def do_POST(self) -> None:
        message = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.headers.append(dict(self.headers.items()))
        wanted = self.server.token
        if wanted is not None and self.headers.get(wanted[0]) != wanted[1]:
            self._send(401, b"who are you?", "text/plain")
        elif self.server.status:
            self._send(self.server.status, b"<h1>no</h1>", "text/html")
        elif "id" not in message:
            self._send(202)
        else:
            self._answer(message)

    def _answer(self, message: dict[str, Any]) -> None:
        method, number, params = message["method"], message["id"], message.get("params") or {}
        if method == "initialize":
            info = {"name": "service", "version": "1"}
            self._result(number, {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": info})
        elif method == "tools/list":
            tools = [{"name": f"oracle.{self.server.name}.{hook}", "inputSchema": ANY} for hook in ("ask", "anything")]
            self._result(number, {"tools": self.server.tools or tools})
        elif method == "tools/call":
            self._call(number, params)
        else:
            self._json({"jsonrpc": "2.0", "id": number, "error": {"code": -32601, "message": "no such method"}}, 404)

    def _call(self, number: int, params: dict[str, Any]) -> None:
        arguments = params.get("arguments") or {}
        question = str(arguments.get("question", ""))
        do, _, rest = question.partition(" ")
        self.server.heard.append(question)
        answer = {"answer": f"{self.server.name}: {question}"}
        if do == "wait":
            time.sleep(float(rest))
        elif do == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True
            return None
        elif do == "half":
            self._head(200, 1000, "application/json")
            self.wfile.write(b'{"jsonrpc": ')
            self.close_connection = True
            return None
        elif do == "wrong":
            return self._send(200, b'{"jsonrpc": "2.0", "id": nope', "application/json")
        elif do == "other":
            number += 1000
        elif do == "page":
            return self._send(200, b"<h1>hello</h1>", "text/html")
        elif do == "status":
            return self._send(int(rest), b"no", "text/plain")
        elif do == "error":
            error = {"code": -32000, "message": f"not like this \x1b[2J {'x' * 5000}"}
            return self._json({"jsonrpc": "2.0", "id": number, "error": error}, 400)
        elif do == "gone":
            self.server.session = None
            return self._send(404)
        elif do == "redirect":
            self.send_response(307)
            self.send_header("location", rest)
            self.send_header("content-length", "0")
            self.end_headers()
            return None
        elif do == "long":
            answer = {"answer": "y" * int(rest)}
        elif do in ("events", "broken"):
            message = {"jsonrpc": "2.0", "id": number, "result": {"content": [], "structuredContent": answer}}
            if rest:
                message["result"]["structuredContent"] = {"answer": "y" * int(rest)}  # type: ignore[index]
            event = f"event: message\ndata: {json.dumps(message)}\n\n".encode()
            self._head(200, len(event), "text/event-stream")
            self.wfile.write(event[: len(event) if do == "events" else 20])
            self.close_connection = True
            return None
        if "value" in arguments:
            answer = arguments["value"]
        self._result(number, {"content": [], "structuredContent": answer})
        return None

    def _result(self, number: int, result: Any) -> None:
        self._json({"jsonrpc": "2.0", "id": number, "result": result})

    def _json(self, message: Any, status: int = 200) -> None:
        self._send(status, json.dumps(message).encode(), "application/json")

    def _send(self, status: int, body: bytes = b"", kind: str = "application/json") -> None:
        self._head(status, len(body), kind)
        self.wfile.write(body)

    def _head(self, status: int, length: int, kind: str) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(length))
        if self.server.session:
            self.send_header("mcp-session-id", self.server.session)
        self.end_headers()


class Service(ThreadingHTTPServer):
    """The service.

    Args:
        name: that of its plugin.
        port: where it is; 0 for any.
        context: its certificate, if it has one.
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, name: str = "delphi", port: int = 0, context: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        if context is not None:
            self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.name = name
        self.token: tuple[str, str] | None = None
        self.session: str | None = "one"
        self.tools: list[Any] = []
        self.status = 0
        self.heard: list[str] = []
        self.headers: list[dict[str, str]] = []
        self._open: set[socket.socket] = set()
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/mcp"

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def handle_error(self, *_: Any) -> None:
        """Nobody reads it."""

    def stop(self) -> None:
        """End it, and all connections to it."""
        self.shutdown()
        self._thread.join()
        self.server_close()
        for one in self._open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


@contextlib.contextmanager
def serving(name: str = "delphi", **given: Any) -> Iterator[Service]:
    """A service for a block."""
    service = Service(name, **given)
    try:
        yield service
    finally:
        service.stop()
