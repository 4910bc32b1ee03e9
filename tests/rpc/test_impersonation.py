"""The three answers, and their words."""

import pytest

from signetrpc.rpc import Impersonation


def test_the_words_of_interface_text() -> None:
    assert {each.name: each.value for each in Impersonation} == {
        "NOT_ALLOWED": "not_allowed",
        "ALLOWED": "allowed",
        "REQUIRED": "required",
    }
    assert [Impersonation(each.value) for each in Impersonation] == [*Impersonation]


@pytest.mark.parametrize("word", ["", "REQUIRED", "never", 1, None])
def test_other_words(word: object) -> None:
    with pytest.raises(ValueError, match="is not a valid Impersonation"):
        Impersonation(word)
