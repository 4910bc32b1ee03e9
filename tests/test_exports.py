"""The public names, in full: a change of this list is a change of the interface.

Public are the three packages and each module without a leading underscore, with what
their `__all__` says.
"""

import importlib
import inspect
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

PUBLIC: dict[str, set[str]] = {
    "signetrpc.idl": set(),
    "signetrpc.idl.cli": {"main"},
    "signetrpc.rpc": {
        "AccountFile",
        "AuditRecord",
        "AuthToLocal",
        "AuthenticationFailed",
        "AuthorizationRequest",
        "Authorizer",
        "BidirectionalInterceptor",
        "BidirectionalMethod",
        "BidirectionalStream",
        "BlockingBidirectionalStream",
        "BlockingChannel",
        "BlockingServerStream",
        "CallContext",
        "CallInfo",
        "CancellationCause",
        "CallInterceptor",
        "Channel",
        "ChannelBinding",
        "ClientCall",
        "ClientCredentials",
        "ClientStreamInterceptor",
        "ClientStreamMethod",
        "ClientTls",
        "ConnectFailed",
        "DeadlineExceeded",
        "DeclaredError",
        "DelegatedCredential",
        "DomainNames",
        "DoorLimits",
        "ErrorMapper",
        "ErrorMapping",
        "HandshakeError",
        "Identity",
        "Impersonation",
        "ImpersonationError",
        "ImpersonationLevel",
        "Interceptor",
        "ItemSource",
        "KeepalivePolicy",
        "Keytab",
        "LinuxImpersonation",
        "LocalUser",
        "LocalUsers",
        "MappingError",
        "Mechanism",
        "Metadata",
        "MetadataInput",
        "NameMapping",
        "NotCarriedOut",
        "NotImpersonated",
        "Password",
        "Protection",
        "RpcError",
        "Rules",
        "RulesError",
        "SchemaError",
        "SecurityPolicy",
        "Server",
        "ServerCredentials",
        "ServerStream",
        "ServerStreamInterceptor",
        "ServerStreamMethod",
        "ServerTls",
        "StatusCode",
        "TicketCache",
        "TransportError",
        "UnaryInterceptor",
        "UnaryMethod",
        "UserTable",
        "Winbind",
        "anyone",
        "authenticated",
        "connect",
        "connect_blocking",
        "connect_with",
        "current_call",
        "current_caller",
        "declared_error",
        "delegated_credential",
        "lowered",
        "method",
        "raised",
        "service",
    },
    "signetrpc.rpc.details": {
        "BadRequest",
        "Detail",
        "ErrorInfo",
        "FieldViolation",
        "Help",
        "HelpLink",
        "LocalizedMessage",
        "PreconditionFailure",
        "PreconditionViolation",
        "QuotaFailure",
        "QuotaViolation",
        "RequestInfo",
        "ResourceInfo",
        "RetryInfo",
        "UnknownDetail",
    },
    "signetrpc.rpc.errors": {
        "DeadlineExceeded",
        "DeclaredError",
        "ImpersonationError",
        "NotCarriedOut",
        "RpcError",
        "SchemaError",
        "rpc_error",
    },
    "signetrpc.rpc.health": {
        "Health",
        "ServingStatus",
    },
    "signetrpc.rpc.health_client": {
        "BlockingHealthClient",
        "HealthClient",
        "ServingStatus",
    },
    "signetrpc.rpc.reflection": {
        "EnumDescription",
        "ErrorDescription",
        "FieldDescription",
        "MemberDescription",
        "MethodDescription",
        "ParameterDescription",
        "Reflection",
        "ServiceDescription",
        "StructDescription",
        "TagDescription",
        "TypeDescription",
        "TypeKind",
        "read_schema",
    },
    "signetrpc.rpc.reflection_client": {
        "BlockingReflectionClient",
        "EnumDescription",
        "ErrorDescription",
        "FieldDescription",
        "MemberDescription",
        "MethodDescription",
        "ParameterDescription",
        "ReflectionClient",
        "ServiceDescription",
        "StructDescription",
        "TagDescription",
        "TypeDescription",
        "TypeKind",
    },
    "signetrpc.rpc.statistics": {
        "ConnectionStatistics",
        "ServerStatistics",
        "Statistics",
        "Traffic",
        "WorkerStatistics",
    },
    "signetrpc.rpc.statistics_client": {
        "BlockingStatisticsClient",
        "ConnectionStatistics",
        "ServerStatistics",
        "StatisticsClient",
        "Traffic",
        "WorkerStatistics",
    },
    "signetrpc.rpc.testing": {
        "CALLER",
        "SERVER",
        "channel_for",
    },
    "signetrpc.transport": {
        "ANONYMOUS",
        "Acceptor",
        "AccountFile",
        "Address",
        "AuthenticationFailed",
        "BusyError",
        "Channel",
        "ChannelBinding",
        "ClientCredentials",
        "ClientTls",
        "ConnectFailed",
        "ConnectionClosed",
        "Connector",
        "ContextFacts",
        "DelegatedCredential",
        "DelegationKind",
        "DoorLimits",
        "FailureReason",
        "FrameTooLarge",
        "HandshakeError",
        "HandshakeTimeout",
        "Identity",
        "ImpersonationLevel",
        "InsufficientProtection",
        "IntegrityError",
        "Keytab",
        "Limits",
        "Link",
        "Listener",
        "LocalProtocolError",
        "LocalUser",
        "Mechanism",
        "Message",
        "NegotiateAcceptor",
        "NegotiateConnector",
        "NegotiationProtocol",
        "NtlmFacts",
        "Password",
        "Pipe",
        "PlainAcceptor",
        "PlainConnector",
        "Protection",
        "ProtocolError",
        "RemoteProtocolError",
        "SecureStream",
        "SecureStreamAttribute",
        "SecurityContext",
        "SecurityPolicy",
        "ServerCredentials",
        "ServerTls",
        "StreamPipe",
        "TcpAddress",
        "TicketCache",
        "TlsAcceptor",
        "TlsConnector",
        "TransportError",
        "UnixAddress",
        "Unwrapped",
        "Winbind",
        "connect_stream",
        "connect_stream_with",
        "listen",
        "listen_with",
        "open_channel",
        "parse_address",
    },
    "signetrpc.transport.errors": {
        "AuthenticationFailed",
        "BusyError",
        "ConnectFailed",
        "ConnectionClosed",
        "FailureReason",
        "FrameTooLarge",
        "HandshakeError",
        "HandshakeTimeout",
        "InsufficientProtection",
        "IntegrityError",
        "LocalProtocolError",
        "ProtocolError",
        "RemoteProtocolError",
        "TransportError",
    },
    "signetrpc.transport.testing": {
        "ConnectorPair",
        "ScriptedContext",
        "check_connector",
        "check_security_context",
        "drain",
        "memory_pipes",
        "pump",
        "scripted_facts",
    },
}


def _public_modules() -> set[str]:
    modules: set[str] = set()
    for folder in ("transport", "rpc", "idl"):
        for path in (ROOT / folder).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            parts = parts[:-1] if parts[-1] == "__init__" else parts
            if not any(part.startswith("_") for part in parts):
                modules.add(".".join(("signetrpc", *parts)))
    return modules


def test_every_public_module_is_listed() -> None:
    assert _public_modules() == set(PUBLIC)


@pytest.mark.parametrize("module", sorted(PUBLIC))
def test_a_module_offers_exactly_the_names_listed(module: str) -> None:
    assert set(importlib.import_module(module).__all__) == PUBLIC[module]


@pytest.mark.parametrize("module", sorted(PUBLIC))
def test_names_are_sorted_and_documented(module: str) -> None:
    imported = importlib.import_module(module)
    assert imported.__doc__
    assert list(imported.__all__) == sorted(imported.__all__)
    for name in imported.__all__:
        value = getattr(imported, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            # A dataclass without a docstring is given its signature as one.
            documented = value.__doc__ and not value.__doc__.startswith(f"{name}(")
            assert documented, f"{module}.{name}"
