"""The harness for atheris, which is led by coverage (https://github.com/google/atheris).

    python -m tests.fuzz.harness TARGET [-runs=100000] [FOLDER...]

starts from the corpus in the tree and takes libFuzzer's options.  What it finds in
FOLDER and should stay found goes into `tests/fuzz/corpus/TARGET/` by hand.
"""

import sys

import atheris  # type: ignore[import-untyped]  # pyright: ignore

with atheris.instrument_imports(include=["signetrpc", "msgpack"]):  # pyright: ignore
    from tests.fuzz.mutation import FOLDER
    from tests.fuzz.targets import TARGETS


def main() -> None:
    """Fuzz one target until an input fails or the runs are over."""
    program, name, *options = sys.argv
    target = TARGETS[name]
    folders = [option for option in options if not option.startswith("-")]
    flags = [option for option in options if option.startswith("-")]
    arguments = [program, *flags, *folders, str(FOLDER / name)]
    atheris.Setup(arguments, target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
