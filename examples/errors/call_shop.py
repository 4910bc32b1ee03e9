"""A client of the shop, with something wrong each time.

python call_shop.py [HOST:PORT]
"""

import sys

import anyio
from signetrpc.rpc import Password, RpcError, connect
from signetrpc.rpc.details import BadRequest, RetryInfo

from shop_client import NoSuchArticle, OutOfStock, ShopClient

ALICE = Password(r"CORP\alice", "secret")


async def main(address: str) -> None:
    """Buy as much as there is, and see what else can happen."""
    async with connect(address, credentials=ALICE) as channel:
        shop = ShopClient(channel)
        await buy(shop, "cups", 12)
        await buy(shop, "saucers", 2)
        await buy(shop, "tea", -1)
        try:
            await shop.order("tea")
        except RpcError as error:
            for detail in error.details:
                if isinstance(detail, RetryInfo):
                    print(f"{error}; again in {detail.retry_delay}")
        for call in (shop.receipt, shop.profit):
            try:
                await call()
            except RpcError as error:
                print(error)


async def buy(shop: ShopClient, article: str, count: int) -> None:
    """Buy an article, or fewer of it if there are not so many."""
    try:
        left = await shop.buy(article, count)
    except OutOfStock as error:
        # What is declared has fields of its own types.
        print(f"only {error.left} {error.article}, not {count}")
        await buy(shop, article, error.left)
    except NoSuchArticle as error:
        print(f"{error.status.name}: {error.article}")
    except RpcError as error:
        print(error)
        for detail in error.details:
            if isinstance(detail, BadRequest):
                for each in detail.field_violations:
                    print(f"  {each.field}: {each.description}")
    else:
        print(f"bought {count} {article}, {left} left")


if __name__ == "__main__":
    anyio.run(main, sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:7420")
