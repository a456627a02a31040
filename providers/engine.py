"""llama.cpp's HTTP server in a process of its own: loading a model holds Python's lock, and a crash stays here.

Run as a script by providers.embedded. Reads one line of JSON (EngineOrder) from stdin, writes one line (EngineReport)
to stdout, and serves until stdin ends: when the parent is gone, so is the engine. Nothing else is ever printed.
"""

import resource
import sys
from typing import IO, Any

import msgspec
from msgspec import Struct


class EngineOrder(Struct, frozen=True):
    """`socket` is the path to listen on. `api_key` comes through the pipe: neither the process list nor the environment shows it."""

    socket: str
    model_file: str
    alias: str
    api_key: str
    n_ctx: int
    n_parallel: int
    n_threads: int


class EngineReport(Struct, frozen=True):
    """Whether the engine listens; false when the model could not be loaded."""

    listens: bool


def main(orders: IO[bytes], reports: IO[bytes]) -> None:
    order = msgspec.json.decode(orders.readline(), type=EngineOrder)
    server = start(order)
    reports.write(msgspec.json.encode(EngineReport(server is not None)) + b"\n")
    reports.flush()
    if server:
        orders.read()


def start(order: EngineOrder) -> Any | None:  # noqa: ANN401 - xllamacpp ships no types
    """The running server, or None when llama.cpp refuses the file. Holds Python's lock while the model loads."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = order.model_file
    params.model_alias = [order.alias]
    params.hostnames = [order.socket]  # no port: other users of the machine cannot even knock
    params.api_keys = [order.api_key]
    params.n_ctx = order.n_ctx
    params.n_parallel = order.n_parallel
    params.cpuparams.n_threads = order.n_threads
    params.cpuparams_batch.n_threads = order.n_threads
    params.n_threads_http = 4
    params.verbosity = -1  # prints nothing at all; what the louder levels print is not promised by anyone
    params.ui = False
    params.endpoint_slots = False  # other callers' parameters and token counts are nobody's business
    params.cache_ram_mib = 0  # the cache of earlier prompts, 8 GiB unless told
    params.cors_origins = ""
    params.offline = True
    try:
        return xllamacpp.Server(params)
    except RuntimeError:
        return None


if __name__ == "__main__":  # pragma: no cover - runs in the child process, where coverage does not look
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold prompts
    main(sys.stdin.buffer, sys.stdout.buffer)
