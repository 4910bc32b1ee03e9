"""The harness for atheris, which is led by coverage (https://github.com/google/atheris).

    python -m tests.fuzz.harness TARGET [-runs=100000] [FOLDER...]

starts from the corpus in the tree and takes libFuzzer's options.  What it finds in
FOLDER and should stay found goes into `tests/fuzz/corpus/TARGET/` by hand.

    python -m tests.fuzz.harness -

reads such arguments as lines of JSON, behind the name of a file for what libFuzzer
says, and answers each with a line, the exit status: to prepare the code for atheris
takes longer than a few runs, and is done once so.
"""

import json
import os
import sys

import atheris  # type: ignore[import-untyped]  # pyright: ignore

with atheris.instrument_imports(include=["signetrpc", "msgpack"]):  # pyright: ignore
    from tests.fuzz.mutation import FOLDER
    from tests.fuzz.targets import TARGETS


def fuzz(name: str, *options: str) -> None:
    """Fuzz one target until an input fails or the runs are over; ends the process."""
    target = TARGETS[name]
    folders = [option for option in options if not option.startswith("-")]
    flags = [option for option in options if option.startswith("-")]
    arguments = [sys.argv[0], *flags, *folders, str(FOLDER / name)]
    atheris.Setup(arguments, target)
    atheris.Fuzz()


def serve() -> None:
    """Fuzz what each line of the standard input says, in a process of its own."""
    for line in sys.stdin:
        said, *arguments = json.loads(line)
        if (pid := os.fork()) == 0:
            with open(said, "wb") as file:
                os.dup2(file.fileno(), 1)
                os.dup2(file.fileno(), 2)
            fuzz(*arguments)
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    if sys.argv[1:] == ["-"]:
        serve()
    else:
        fuzz(*sys.argv[1:])
