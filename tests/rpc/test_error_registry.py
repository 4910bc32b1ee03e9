"""Which exceptions mean what to callers: the most specific class decides."""

import pytest

from signetrpc.rpc import ErrorMapper, ErrorMapping, RpcError, StatusCode
from signetrpc.rpc._error_registry import ErrorRegistry


class Closed(ValueError):
    """An exception of the user's."""


class Both(Closed, KeyError):
    """With two bases."""


def explained(error: KeyError) -> RpcError:
    return RpcError(StatusCode.NOT_FOUND, f"no account {error.args[0]}")


def of(error: Exception, mapping: ErrorMapping) -> tuple[StatusCode, str] | None:
    found = ErrorRegistry(mapping).of(error)
    return None if found is None else (found.status, found.message)


def test_a_status_alone_names_the_class_and_not_the_text() -> None:
    mapping: ErrorMapping = {ValueError: StatusCode.INVALID_ARGUMENT}
    told = (StatusCode.INVALID_ARGUMENT, "the handler raised ValueError")
    assert of(ValueError("hunter2"), mapping) == told
    assert of(Closed("hunter2"), mapping) == told
    assert of(KeyError("hunter2"), mapping) is None


def test_a_function_says_what_may_be_known() -> None:
    mapping: ErrorMapping = {KeyError: explained}
    assert of(KeyError(42), mapping) == (StatusCode.NOT_FOUND, "no account 42")


def test_the_most_specific_class_decides_whatever_the_order() -> None:
    pairs: list[tuple[type[Exception], StatusCode | ErrorMapper]] = [
        (Exception, StatusCode.UNKNOWN),
        (ValueError, StatusCode.INVALID_ARGUMENT),
        (Closed, StatusCode.UNAVAILABLE),
        (KeyError, explained),
    ]
    for given in (pairs, pairs[::-1]):
        mapping: ErrorMapping = dict(given)
        assert of(Closed(), mapping) == (
            StatusCode.UNAVAILABLE,
            "the handler raised Closed",
        )
        assert of(Both("7"), mapping) == of(Closed(), mapping)
        assert of(KeyError(7), mapping) == (StatusCode.NOT_FOUND, "no account 7")
        assert of(OSError(), mapping) == (
            StatusCode.UNKNOWN,
            "the handler raised Exception",
        )


def test_nothing_is_mapped_by_itself() -> None:
    for error in (FileNotFoundError(), PermissionError(), ValueError(), TimeoutError()):
        assert ErrorRegistry().of(error) is None


def test_a_function_that_fails_or_returns_something_else_is_no_answer() -> None:
    with pytest.raises(TypeError, match="for KeyError returned a str, not an RpcError"):
        of(KeyError(), {KeyError: lambda error: "gone"})  # type: ignore[dict-item,return-value]  # pyright: ignore
    with pytest.raises(IndexError):
        of(KeyError(), {KeyError: explained})


@pytest.mark.parametrize(
    ("mapping", "problem", "says"),
    [
        ({int: StatusCode.ABORTED}, TypeError, "no class of exceptions"),
        ({"x": StatusCode.ABORTED}, TypeError, "'x' is no class of exceptions"),
        ({KeyboardInterrupt: StatusCode.ABORTED}, TypeError, "no class of exceptions"),
        ({ValueError: StatusCode.OK}, ValueError, "ValueError: OK is not an error"),
        ({ValueError: 3}, TypeError, "ValueError: 3 is no status and no function"),
    ],
)
def test_a_mapping_that_cannot_be_is_refused(
    mapping: ErrorMapping, problem: type[Exception], says: str
) -> None:
    with pytest.raises(problem, match=says):
        ErrorRegistry(mapping)


def test_a_mapping_is_as_it_was_given() -> None:
    given: dict[type[Exception], StatusCode] = {ValueError: StatusCode.ABORTED}
    registry = ErrorRegistry(given)
    given[KeyError] = StatusCode.NOT_FOUND
    assert dict(registry.mapping) == {ValueError: StatusCode.ABORTED}
    assert registry.of(KeyError()) is None
