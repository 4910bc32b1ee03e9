"""`@service` and `@method`, as people write them and get them wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from signetrpc.rpc._decorators import method, service, service_definition
from signetrpc.rpc._impersonation import Impersonation
from signetrpc.rpc.errors import DeclaredError, SchemaError
from signetrpc.transport._protection import Protection


@dataclass
class Entry:
    x: int


@service("bank.Accounts", protection=Protection.SIGN)
class Accounts:
    @method
    def bare(self) -> None: ...

    @method()
    def empty(self) -> None: ...

    @method(Protection.NONE)
    def positional(self) -> None: ...

    @method(protection=Protection.SEAL, inline=True)
    def named(self, entry: Entry) -> int:
        return entry.x


def test_forms_and_levels() -> None:
    methods = service_definition(Accounts).schema.methods
    assert {each.name: each.protection for each in methods} == {
        "bare": Protection.SIGN,
        "empty": Protection.SIGN,
        "positional": Protection.NONE,
        "named": Protection.SEAL,
    }


def test_nothing_declared_is_sealed() -> None:
    @service("s")
    class Bare:
        @method
        def work(self) -> None: ...

    (work,) = service_definition(Bare).schema.methods
    assert work.protection is Protection.SEAL
    assert work.impersonate is Impersonation.ALLOWED


def test_whom_methods_run_as() -> None:
    @service("s", impersonate=Impersonation.REQUIRED)
    class Files:
        @method
        def bare(self) -> None: ...

        @method(Protection.SIGN)
        def protected(self) -> None: ...

        @method(Protection.SIGN, impersonate=Impersonation.ALLOWED, inline=True)
        def positional(self) -> None: ...

        @method(impersonate=Impersonation.NOT_ALLOWED)
        def named(self) -> None: ...

    definition = service_definition(Files)
    expected = {
        "bare": Impersonation.REQUIRED,
        "protected": Impersonation.REQUIRED,
        "positional": Impersonation.ALLOWED,
        "named": Impersonation.NOT_ALLOWED,
    }
    methods = definition.schema.methods
    assert {each.name: each.impersonate for each in methods} == expected
    handlers = definition.handlers.values()
    assert {each.method.name: each.method.impersonate for each in handlers} == expected

    class Served(Files):
        def bare(self) -> None: ...

    assert service_definition(Served).schema.methods == methods


def test_decorated_classes_and_methods_are_themselves() -> None:
    assert Accounts().named(Entry(5)) == 5
    assert Accounts.__name__ == "Accounts"


@pytest.mark.parametrize(
    "name", ["", "1a", "a..b", "a.", ".a", "a b", "é", "a/b", "a\n", "a" * 201]
)
def test_bad_service_names(name: str) -> None:
    with pytest.raises(SchemaError, match="cannot travel .hint: like bank.Accounts"):
        service(name)


def test_no_service_name() -> None:
    undecorated: Any = service
    with pytest.raises(SchemaError, match="@service on Entry has no name .*Entry"):
        undecorated(Entry)
    with pytest.raises(SchemaError, match="s: @service is for classes"):
        undecorated("s")(test_no_service_name)


@pytest.mark.parametrize("level", [2, True, "seal", 0])
def test_levels_are_levels(level: Any) -> None:
    with pytest.raises(SchemaError, match="is not a level .hint: use Protection.NONE"):
        service("s", protection=level)
    with pytest.raises(SchemaError, match="@method: protection .* is not a level"):
        method(level)
    with pytest.raises(SchemaError, match="@method: protection .* is not a level"):
        method(protection=level)


@pytest.mark.parametrize("answer", [1, True, "required", Protection.SEAL])
def test_impersonation_is_one_of_three(answer: Any) -> None:
    says = "does not say whether to impersonate .hint: use Impersonation.NOT_ALLOWED"
    with pytest.raises(SchemaError, match=f"s: .* {says}"):
        service("s", impersonate=answer)
    with pytest.raises(SchemaError, match=f"@method: .* {says}"):
        method(impersonate=answer)


def test_a_service_says_whether_to_impersonate() -> None:
    nothing: Any = None
    with pytest.raises(SchemaError, match="s: None does not say"):
        service("s", impersonate=nothing)


def test_impersonation_goes_by_name() -> None:
    positional: Any = method
    with pytest.raises(SchemaError, match="write @method.impersonate=Impersonation.RE"):
        positional(Impersonation.REQUIRED)


def test_a_call_that_anyone_can_write_runs_as_nobody() -> None:
    with pytest.raises(
        SchemaError,
        match=r"bank.Accounts.ping: nobody knows the caller of a call with protection "
        r"NONE, .* .hint: protect it, or say impersonate=Impersonation.NOT_ALLOWED",
    ):

        @service("bank.Accounts", impersonate=Impersonation.REQUIRED)
        class Late:
            @method(Protection.NONE)
            def ping(self) -> None: ...

    with pytest.raises(SchemaError, match="s.ping: nobody knows the caller"):

        @service("s", protection=Protection.NONE)
        class Other:
            @method(impersonate=Impersonation.REQUIRED)
            def ping(self) -> None: ...

    assert not {"Late", "Other"} & set(locals())


def test_a_service_may_ask_for_what_each_method_puts_right() -> None:
    @service("s", protection=Protection.NONE, impersonate=Impersonation.REQUIRED)
    class Files:
        @method(Protection.SIGN)
        def read(self) -> None: ...

        @method(impersonate=Impersonation.NOT_ALLOWED)
        def ping(self) -> None: ...

    read, ping = service_definition(Files).schema.methods
    assert (read.protection, read.impersonate) == (
        Protection.SIGN,
        Impersonation.REQUIRED,
    )
    assert (ping.protection, ping.impersonate) == (
        Protection.NONE,
        Impersonation.NOT_ALLOWED,
    )


def test_one_error_is_given_as_a_list_too() -> None:
    one: Any = DeclaredError
    with pytest.raises(SchemaError, match="errors is a list") as caught:
        method(errors=one)
    assert caught.value.hint == "write [DeclaredError]"


def test_level_given_twice() -> None:
    twice: Any = method
    with pytest.raises(SchemaError, match="the protection twice"):
        twice(Protection.SEAL, protection=Protection.SIGN)


@pytest.mark.parametrize("what", [staticmethod(len), property(), Entry, len])
def test_methods_are_written_with_def(what: Any) -> None:
    with pytest.raises(SchemaError, match="only a method written with def"):
        method(what)
    with pytest.raises(SchemaError, match="only a method written with def"):
        method(Protection.SIGN)(what)


@pytest.mark.parametrize("mark", ["@method", "@method(Protection.SIGN)"])
def test_two_methods_of_one_name(mark: str) -> None:
    twice = f"""
class Twice:
    {mark}
    def work(self) -> None: ...

    {mark}
    def work(self) -> None: ...
"""
    with pytest.raises(SchemaError, match="Twice.work: two methods have this name"):
        exec(twice, {"method": method, "Protection": Protection})


def test_types_defined_later_are_named() -> None:
    with pytest.raises(
        SchemaError, match='parameter "entry": cannot resolve type \'La'
    ):

        @service("s")
        class Early:
            @method
            def work(self, entry: Later) -> None: ...  # type: ignore  # noqa: F821  # pyright: ignore


def test_other_classes_are_no_services() -> None:
    with pytest.raises(SchemaError, match="Entry is not a service .hint: decorate it"):
        service_definition(Entry)
