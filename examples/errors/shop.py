"""A service whose errors say what a program can act on."""

from datetime import timedelta

from signetrpc.rpc import (
    DeclaredError,
    RpcError,
    StatusCode,
    declared_error,
    method,
    service,
)
from signetrpc.rpc.details import BadRequest, FieldViolation, RetryInfo

MOST_AT_ONCE = 100


@declared_error("shop.OutOfStock")
class OutOfStock(DeclaredError):
    """There are not so many of it."""

    article: str
    left: int


@declared_error("shop.NoSuchArticle", status=StatusCode.NOT_FOUND)
class NoSuchArticle(DeclaredError):
    """The shop does not have that."""

    article: str


class PrinterOnFire(Exception):
    """Something that the shop's own code raises, and that callers may know of."""


@service("shop.Shop")
class Shop:
    """Sells what it has."""

    def __init__(self) -> None:
        """Fill the shelves."""
        self._stock = {"tea": 5, "cups": 2}

    @method(errors=[OutOfStock, NoSuchArticle])
    async def buy(self, article: str, count: int) -> int:
        """Buy so many of an article; return how many are left."""
        if not 0 < count <= MOST_AT_ONCE:
            raise RpcError(
                StatusCode.INVALID_ARGUMENT,
                f"count {count} is not of 1 to {MOST_AT_ONCE}",
                details=[
                    BadRequest(
                        field_violations=[
                            FieldViolation(
                                field="count", description=f"1 to {MOST_AT_ONCE}"
                            )
                        ]
                    )
                ],
            )
        if article not in self._stock:
            raise NoSuchArticle(article=article)
        left = self._stock[article]
        if count > left:
            raise OutOfStock(article=article, left=left)
        self._stock[article] = left - count
        return left - count

    @method
    async def order(self, article: str) -> None:
        """Have more of an article brought."""
        raise RpcError(
            StatusCode.UNAVAILABLE,
            f"nobody brings {article} before noon",
            details=[RetryInfo(retry_delay=timedelta(hours=2))],
        )

    @method
    async def receipt(self) -> str:
        """Print what was bought."""
        raise PrinterOnFire("printer 3 at 10.0.0.17")

    @method
    async def profit(self) -> int:
        """Return what the shop earned, in per cent of nothing at all."""
        return 100 // (sum(self._stock.values()) * 0)
