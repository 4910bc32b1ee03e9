"""Levels of protection and the names of suites."""

from signetrpc.transport._protection import Protection, SuiteName


def test_levels_are_ordered_and_their_numbers_are_the_wire_s() -> None:
    assert [(level.name, int(level)) for level in sorted(Protection)] == [
        ("NONE", 0),
        ("SIGN", 1),
        ("SEAL", 2),
    ]


def test_the_higher_of_two_levels_wins() -> None:
    assert max(Protection.SIGN, Protection.SEAL) is Protection.SEAL
    assert max(Protection.SIGN, Protection.NONE) is Protection.SIGN


def test_suites_have_distinct_names_that_a_hello_can_carry() -> None:
    names = [SuiteName.GSS, SuiteName.AES256GCM, SuiteName.CHANNEL]
    assert len(set(names)) == 3
    assert max(map(len, names)) <= 32
