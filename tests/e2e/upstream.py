"""A small OpenAI-compatible server for the tests: keeps what it was sent, answers as the test says, sees who hangs up."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self


@dataclass
class Received:
    """One request as it came over the wire."""

    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> dict:
        return json.loads(self.raw)

    @property
    def text(self) -> str:
        """The whole body with its JSON escapes undone, to look for values in."""
        return json.dumps(self.body, ensure_ascii=False)


@dataclass
class Reply:
    """What to answer: text cut into deltas, or raw bytes under any status."""

    text: str | None = None  # None: say the last message back
    cut: int = 7
    tool_calls: list[dict] = field(default_factory=list)
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    hang_up: bool = False  # close the connection without a word
    drop_after: int | None = None  # deltas sent before the connection is cut
    pause: float = 0.0  # seconds between deltas
    hold: threading.Event | None = None  # after the first word, wait for this before going on


class Upstream:
    """`with Upstream() as upstream:`; `upstream.replies` are used in turn, the last of them for ever."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.replies: list[Reply] = [Reply()]
        self.on_call: Callable[[Received], None] | None = None
        self.hung_up = threading.Event()
        self.embedding_status = 200
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["Content-Length"]))
                received = Received({name.lower(): value for name, value in self.headers.items()}, raw)
                outer.received.append(received)
                if outer.on_call is not None:
                    outer.on_call(received)
                if self.path.endswith("/embeddings"):
                    self.answer(outer.vectors(received), received)
                    return
                reply = outer.replies.pop(0) if len(outer.replies) > 1 else outer.replies[0]
                self.close_connection = True
                if reply.hang_up:
                    return
                try:
                    self.answer(reply, received)
                except (BrokenPipeError, ConnectionResetError):
                    outer.hung_up.set()

            def answer(self, reply: Reply, received: Received) -> None:
                self.send_response(reply.status)
                headers = {
                    "Content-Type": "text/event-stream",
                    "x-request-id": "up-1",
                    "Connection": "close",
                    **reply.headers,
                }
                if reply.raw is not None:
                    headers["Content-Length"] = str(len(reply.raw))
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                if reply.raw is not None:
                    self.wfile.write(reply.raw)
                    return
                for number, delta in enumerate(outer.deltas(reply, received)):
                    if reply.drop_after is not None and number >= reply.drop_after:
                        return
                    self.event({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
                    if number == 1 and reply.hold is not None:
                        reply.hold.wait(30)
                    time.sleep(reply.pause)
                finish = "tool_calls" if reply.tool_calls else "stop"
                self.event({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
                self.event({"choices": [], "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}})
                self.wfile.write(b"data: [DONE]\n\n")

            def event(self, chunk: dict) -> None:
                document = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "up", **chunk}
                self.wfile.write(b"data: " + json.dumps(document).encode() + b"\n\n")
                self.wfile.flush()

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.base_url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def vectors(self, received: Received) -> Reply:
        """A vector a text: its length and its number of words."""
        vectors = [
            {"object": "embedding", "index": index, "embedding": [float(len(text)), float(len(text.split()))]}
            for index, text in enumerate(received.body["input"])
        ]
        usage = {"prompt_tokens": len(vectors), "total_tokens": len(vectors)}
        document = {"object": "list", "data": vectors, "model": received.body["model"], "usage": usage}
        headers = {"Content-Type": "application/json"}
        return Reply(status=self.embedding_status, raw=json.dumps(document).encode(), headers=headers)

    @staticmethod
    def deltas(reply: Reply, received: Received) -> Iterator[dict]:
        text = reply.text
        if text is None:
            content = received.body["messages"][-1]["content"]
            text = content if isinstance(content, str) else "".join(part["text"] for part in content or [])
        yield {"role": "assistant", "content": ""}
        if not reply.tool_calls:
            for at in range(0, len(text), reply.cut):
                yield {"content": text[at : at + reply.cut]}
        for index, call in enumerate(reply.tool_calls):
            yield {
                "tool_calls": [
                    {
                        "index": index,
                        "id": call["id"],
                        "type": "function",
                        "function": {"name": call["name"], "arguments": ""},
                    }
                ]
            }
            for at in range(0, len(call["arguments"]), reply.cut):
                yield {
                    "tool_calls": [{"index": index, "function": {"arguments": call["arguments"][at : at + reply.cut]}}]
                }

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *args: object) -> None:
        self._server.shutdown()
        self._server.server_close()
