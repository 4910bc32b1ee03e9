"""The status codes are gRPC's, by name and by number."""

import grpc

from signetrpc.rpc._status import StatusCode


def test_codes_are_grpcs() -> None:
    theirs = {code.name: code.value[0] for code in grpc.StatusCode}
    assert {code.name: code.value for code in StatusCode} == theirs
    assert len(theirs) == 17
