"""An MCP server in the standard library alone, which starts in no time and misbehaves when it is asked to.

Run as ``oracle.py NAME [key=value…]``: ``tools`` a JSON list in place of its own, ``version`` that of the protocol,
``exit`` a status to end with in the handshake, ``sleep`` seconds before it answers that, ``deaf`` ignores SIGTERM and
the end of its input, ``setup`` lists a tool for that, ``said`` a file for what it hears.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time

name = sys.argv[1]
options = dict(one.split("=", 1) for one in sys.argv[2:])
lock = threading.Lock()
ANY = {"type": "object"}
TOOLS = [
    {
        "name": f"oracle.{name}.ask",
        "inputSchema": {"type": "object", "properties": {"question": {"type": "string"}}},
        "outputSchema": {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]},
    },
    {"name": f"oracle.{name}.number", "inputSchema": ANY},
    {"name": f"oracle.{name}.pass_on", "inputSchema": ANY},
    {"name": f"oracle.{name}.anything", "inputSchema": ANY},
]


def send(message):
    with lock:
        sys.stdout.buffer.write(json.dumps(message).encode() + b"\n")
        sys.stdout.buffer.flush()


def raw(line):
    with lock:
        sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()


def said(line):
    if "said" in options:
        with lock, open(options["said"], "a") as file:
            file.write(line + "\n")


def result(value, *, meta=None, error=False):
    answer = {"content": [], "isError": error}
    if isinstance(value, str) and error:
        answer["content"] = [{"type": "text", "text": value}]
    elif isinstance(value, dict):
        answer["structuredContent"] = value
    if meta:
        answer["_meta"] = meta
    return answer


def text(told):
    return {"content": [{"type": "text", "text": told}], "isError": False}


def call(params):
    hook = params["name"].rpartition(".")[2]
    arguments = params.get("arguments") or {}
    do, _, rest = str(arguments.get("question", "")).partition(" ")
    if hook == "setup":
        said("setup " + json.dumps(arguments, sort_keys=True))
        if arguments["config"].get("refuse"):
            raise ValueError("this configuration is not to my taste")
        if arguments["config"].get("tell"):
            return result(f"no such key: {arguments['config']['key']}", error=True)
        return result({})
    if hook == "pass_on":
        meta = {"dagstack/stop": arguments["stop"]} if "stop" in arguments else None
        return result({"text": arguments.get("text", "") + name}, meta=meta)
    if hook == "anything":
        return text(arguments["text"]) if "text" in arguments else result(arguments["value"])
    if hook == "execute":
        return result({"did": arguments})
    if hook == "get_schema":
        if "schemaless" in options:
            return result({"type": 5})
        needed = {"type": "object", "required": ["city"], "properties": {"city": {"type": "string"}}}
        return result(needed)
    if hook == "number":
        return result({"result": arguments.get("value")})
    if do == "wait":
        time.sleep(float(rest))
    elif do == "raise":
        told = {"type": "ValueError", "message": "no such thing", "traceback": "Traceback: in oracle.rb, line 4"}
        return result("no such thing", error=True, meta={"dagstack/error": told})
    elif do == "plainly":
        return result("no such thing", error=True)
    elif do == "silently":
        return result(None, error=True)
    elif do == "exit":
        os._exit(int(rest))
    elif do == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif do == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif do == "wrong":
        return result({"answer": 5})
    elif do == "nothing":
        return {"surprise": True, "content": 7}
    elif do == "noise":
        raw(b'hello there\n\xff\xfe\x00 half a letter\n\x1b[2J{"jsonrpc": "2.0"}\n[]\n\n')
    elif do == "garbage":
        for _ in range(200):
            raw(os.urandom(500).replace(b"\n", b" ") + b"\n")
    elif do == "strange":
        send({"jsonrpc": "2.0", "id": 987654, "result": {}})
        send({"jsonrpc": "2.0", "id": "x", "error": {"code": 1, "message": "for nobody"}})
        send({"jsonrpc": "2.0", "method": "notifications/strange", "params": {}})
    elif do == "long":
        return result({"answer": "y" * int(rest)})
    elif do == "endless":  # a line that answers nobody
        raw(b"z" * int(rest) + b"\n")
    elif do == "unreadable":
        send({"jsonrpc": "2.0", "id": params["number"], "result": "nonsense"})
        time.sleep(0.1)
    elif do == "deaf":
        os.close(0)
    elif do == "flood":
        end = time.monotonic() + float(rest)
        while time.monotonic() < end:
            raw(b'{"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": 1}}\n' * 1000)
    elif do == "close":
        os.close(1)
        time.sleep(30)
    elif do == "child":
        child = subprocess.Popen(["sleep", "300"])
        return result({"answer": str(child.pid)})
    elif do == "code":
        number, _, message = rest.partition(" ")
        raise Refusal(int(number), message)
    elif do == "image":
        return {"content": [{"type": "image", "data": "aGk=", "mimeType": "image/png"}], "isError": False}
    elif do == "shout":
        return result("\x1b[2J" + "x" * int(rest), error=True)
    elif do == "error":
        print(rest, file=sys.stderr, flush=True)
    elif do == "environment":
        return result({"answer": json.dumps(dict(os.environ))})
    elif do == "folder":
        return result({"answer": os.getcwd()})
    elif do == "meta":
        return result({"answer": json.dumps(params.get("_meta"))})
    elif do == "pid":
        return result({"answer": str(os.getpid())})
    return result({"answer": f"{name}: {arguments.get('question')}"})


class Refusal(Exception):
    """An error of the protocol."""


def handle(message):
    number, method, params = message.get("id"), message.get("method"), message.get("params") or {}
    params = {**params, "number": number}
    if number is None:
        if method == "notifications/cancelled":
            said("cancelled")
        return
    if method == "initialize":
        time.sleep(float(options.get("sleep", 0)))
        if "exit" in options:
            print("I have had enough", file=sys.stderr, flush=True)
            os._exit(int(options["exit"]))
        version = options.get("version", "2025-06-18")
        info = {"name": name, "version": "1"}
        send(
            {
                "jsonrpc": "2.0",
                "id": number,
                "result": {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": info},
            }
        )
    elif method == "tools/list":
        tools = json.loads(options["tools"]) if "tools" in options else TOOLS
        if "setup" in options:
            tools = [*tools, {"name": f"oracle.{name}.setup", "inputSchema": ANY}]
        send({"jsonrpc": "2.0", "id": number, "result": {"tools": tools}})
    elif method == "tools/call":
        try:
            send({"jsonrpc": "2.0", "id": number, "result": call(params)})
        except Refusal as error:
            send({"jsonrpc": "2.0", "id": number, "error": {"code": error.args[0], "message": error.args[1]}})
        except Exception as error:
            send({"jsonrpc": "2.0", "id": number, "error": {"code": -32603, "message": str(error)}})
    else:
        send({"jsonrpc": "2.0", "id": number, "error": {"code": -32601, "message": f"no method {method}"}})


if "deaf" in options:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
for line in sys.stdin.buffer:
    threading.Thread(target=handle, args=(json.loads(line),), daemon=True).start()
if "deaf" in options:
    time.sleep(300)
