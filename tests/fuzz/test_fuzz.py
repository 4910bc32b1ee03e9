"""A million byte strings that nobody sent; `scripts/soak` runs them all.

Each target gets its share, by the plain driver, from the corpus in the tree; then
atheris leads some more by coverage, where it is installed.
"""

import importlib.util
import json
import re
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.fuzz.mutation import FOLDER, corpus, inputs
from tests.fuzz.targets import TARGETS
from tests.mutation.edits import Edit, applied
from tests.support.scale import scaled

ROOT = Path(__file__).parents[2]
EACH = 1_000_000 // len(TARGETS) + 1


def test_each_target_has_a_corpus() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(TARGETS)
    for target in TARGETS:
        assert 4 < len(corpus(target)) < 100
        assert all(len(data) < 4096 for data in corpus(target))


@pytest.mark.soak
@pytest.mark.parametrize("target", TARGETS)
def test_only_clean_refusals_come_of_mutations(target: str) -> None:
    check = TARGETS[target]
    for number, data in enumerate(inputs(corpus(target), scaled(EACH), seed=7420)):
        try:
            check(data)
        except Exception as error:
            error.add_note(f"input {number} of {target}: {data.hex()}")
            raise


PLANTED = {
    "calls": Edit("rpc._flow:ReceiveWindow.arrived", "if self.left <= 0:", "if False:"),
    "frames": Edit(
        "transport._frames:FrameDecoder._check", "if length > self.limit:", "if False:"
    ),
    "handshake": Edit(
        "transport._handshake:Handshake._verify_finished",
        "self._context.verify(statement, bytes(frame.body))",
        "pass",
    ),
    "hello": Edit(
        "transport._hello:decode_hello",
        "except (msgspec.ValidationError, RecursionError) as error:",
        "except ZeroDivisionError as error:",
    ),
    "pac": Edit("transport._pac:_sid", "count != announced or", ""),
    "session": Edit(
        "transport._session:Session._receive_record",
        "if level < self._minimum:",
        "if False:",
    ),
}


@pytest.mark.parametrize("target", PLANTED)
def test_a_planted_defect_is_found(target: str) -> None:
    check, seeds = TARGETS[target], corpus(target)
    for data in seeds:  # and what is recorded once is recorded
        check(data)
    with applied((PLANTED[target],)), pytest.raises(Exception):  # noqa: B017
        for data in inputs(seeds, 2_000, seed=7420):
            check(data)


@pytest.mark.parametrize("target", TARGETS)
def test_no_input_makes_much_be_held(target: str) -> None:
    check, seeds = TARGETS[target], corpus(target)
    for data in seeds:  # what is made once is made
        check(data)
    tracemalloc.start()
    try:
        for data in inputs(seeds, 300, seed=1):
            tracemalloc.reset_peak()
            before, _ = tracemalloc.get_traced_memory()
            check(data)
            _, peak = tracemalloc.get_traced_memory()
            # An input has 8 KiB at most, and a HELLO of that size the more objects.
            assert peak - before < 1 << 20, data.hex()
    finally:
        tracemalloc.stop()


Fuzz = Callable[[str, Sequence[str]], tuple[int, str]]


@pytest.fixture(scope="module")
def atheris(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuzz]:
    """Fuzzes a target with options of libFuzzer's: exit status, and what it said."""
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("needs the Python package atheris")
    said = tmp_path_factory.mktemp("atheris") / "said"
    harness = subprocess.Popen(
        [sys.executable, "-m", "tests.fuzz.harness", "-"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    requests, answers = harness.stdin, harness.stdout
    assert requests is not None and answers is not None

    def fuzz(target: str, options: Sequence[str]) -> tuple[int, str]:
        print(json.dumps([str(said), target, *options]), file=requests, flush=True)
        status = int(answers.readline())
        return status, said.read_text(errors="replace")

    with harness:
        yield fuzz


@pytest.mark.soak
@pytest.mark.parametrize("target", TARGETS)
def test_only_clean_refusals_come_where_coverage_leads(
    atheris: Fuzz, target: str, tmp_path: Path
) -> None:
    options = [f"-runs={scaled(50_000)}", "-seed=7420", "-max_len=4096"]
    options += [f"-artifact_prefix={tmp_path}/", str(tmp_path)]
    status, said = atheris(target, options)
    assert status == 0, said[-4000:]
    # On a busy machine libFuzzer may make one more.
    done = re.search(r"Done (\d+) runs", said)
    assert done is not None and int(done[1]) >= scaled(50_000)
