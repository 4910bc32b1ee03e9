"""What errors can say beside their status, after google.rpc's error details.

raise RpcError(
    StatusCode.INVALID_ARGUMENT,
    "the transfer is wrong",
    details=[
        BadRequest(
            field_violations=[
                FieldViolation(field="amount", description="must be positive")
            ]
        )
    ],
)
"""

from ._details import (
    BadRequest,
    Detail,
    ErrorInfo,
    FieldViolation,
    Help,
    HelpLink,
    LocalizedMessage,
    PreconditionFailure,
    PreconditionViolation,
    QuotaFailure,
    QuotaViolation,
    RequestInfo,
    ResourceInfo,
    RetryInfo,
    UnknownDetail,
)

__all__ = [
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
]
