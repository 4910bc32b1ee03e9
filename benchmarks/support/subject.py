"""One end of a subject as a process: `serve`, `load` or `newcomers`.

Run by the benchmarks as `python -m benchmarks.support.subject ROLE OPTIONS ...` with
options as JSON.  `serve` prints its address and serves until its input ends; the others
print what they measured as JSON.
"""

import json
import os
import sys

import anyio
import anyio.to_thread

from benchmarks.support.workload import Load, measure, measure_connecting

__all__: list[str] = []


async def _serve(options: dict[str, str]) -> None:
    if options["subject"] == "grpc":
        from benchmarks.support.grpc_aio import serve_grpc as serve
    else:
        from benchmarks.support.product import serve_product as serve
    async with anyio.create_task_group() as group:
        group.start_soon(serve, options)
        await anyio.to_thread.run_sync(sys.stdin.read, abandon_on_cancel=True)
        group.cancel_scope.cancel()


async def _load(options: dict[str, str], address: str, load: Load) -> None:
    if options["subject"] == "grpc":
        from benchmarks.support.grpc_aio import connect_grpc as connect
    else:
        from benchmarks.support.product import connect_product as connect
    if load.in_flight == 0:
        measured = await measure_connecting(lambda: connect(address, options, 1), load)
    else:
        async with connect(address, options, load.connections) as echoes:
            measured = await measure(echoes, load)
    print(json.dumps(measured.as_dict()), flush=True)


async def _newcomers(options: dict[str, str], address: str) -> None:
    from benchmarks.support.newcomers import measure_newcomers

    print(json.dumps(await measure_newcomers(options, address)), flush=True)


def _main(role: str, text: str, *rest: str) -> None:
    options: dict[str, str] = json.loads(text)
    if hasattr(os, "sched_setaffinity") and "processor" in options:
        os.sched_setaffinity(0, {int(options["processor"])})
    backend = options.get("backend", "asyncio")
    uvloop = {"use_uvloop": True} if backend == "uvloop" else {}
    name = "trio" if backend == "trio" else "asyncio"
    if role == "serve":
        anyio.run(_serve, options, backend=name, backend_options=uvloop)
    elif role == "newcomers":
        anyio.run(_newcomers, options, rest[0], backend=name, backend_options=uvloop)
    else:
        load = Load(**json.loads(rest[1]))
        anyio.run(_load, options, rest[0], load, backend=name, backend_options=uvloop)
    # gRPC's threads can keep a process that has nothing more to do.
    os._exit(0)


if __name__ == "__main__":
    _main(*sys.argv[1:])
