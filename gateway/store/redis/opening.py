"""The client that fits an address."""

from gateway.store.redis.address import Address
from gateway.store.redis.client import Client, ClusterClient, PoolClient
from gateway.store.redis.lean import LeanClient


def open_client(address: Address) -> Client:
    """Connects when it is first asked."""
    if address.kind == "cluster":
        return ClusterClient(address)
    return LeanClient(address) if address.kind == "single" else PoolClient(address)
