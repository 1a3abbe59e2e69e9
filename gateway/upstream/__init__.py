"""The door to providers: two clients with one contract, and the choice between them.

``HttpxClient`` is made through ``CLIENTS`` or imported from ``via_httpx``: importing httpx takes time that few need.
"""

from gateway.upstream.choice import CLIENTS, Way, choose, way
from gateway.upstream.http1 import LeanClient
from gateway.upstream.types import Feed, Limits, Timeouts, Upstream

__all__ = ["CLIENTS", "Feed", "LeanClient", "Limits", "Timeouts", "Upstream", "Way", "choose", "way"]
