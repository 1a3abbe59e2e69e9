"""Which addresses a provider may have.

Link-local and metadata services would hand the machine's own credentials to whoever can ask a model; loopback
and private networks are where inference servers live.
"""

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

FORBIDDEN = tuple(
    map(
        ipaddress.ip_network,
        (
            "169.254.0.0/16",  # link-local: AWS, Google, Azure and most others keep their metadata here
            "fe80::/10",
            "fd00:ec2::/32",  # AWS
            "fd20:ce::/32",  # Google
            "100.100.100.200/32",  # Alibaba
            "168.63.129.16/32",  # Azure's host agent
            "192.0.0.192/32",  # Oracle
        ),
    )
)
METADATA_NAMES = frozenset(
    {
        "instance-data",
        "instance-data.ec2.internal",
        "metadata",
        "metadata.azure.com",
        "metadata.azure.internal",
        "metadata.goog",
        "metadata.google.internal",
        "metadata.oraclecloud.com",
        "metadata.packet.net",
        "metadata.platformequinix.com",
        "metadata.tencentyun.com",
    }
)

NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
COMPATIBLE = ipaddress.IPv6Network("::/96")

# Resolvers take a name for an IPv4 address when its last part is a number: http://2852039166, http://0xA9FEA9FE.
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")
# Public services resolve names such as 169.254.169.254.example.org to the address they spell.
_SPELLED = re.compile(r"(?<![0-9])169[.-]254[.-][0-9]+[.-][0-9]+(?![0-9])")
_NAME = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*")
_VISIBLE = re.compile(r"[!-~]+")

REFUSED = "is a link-local or metadata address, which no provider has"


def complaint(url: str) -> str | None:
    """What is wrong with a provider's address, or None. Never repeats it: it may hold a password."""
    if not _VISIBLE.fullmatch(url) or "\\" in url:
        return "holds spaces or characters that no address has (write names in ASCII)"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "is not an address (write it like https://api.example.com/v1)"
    if not url.startswith(("http://", "https://")) or not parts.netloc:
        return "must begin with http:// or https:// and a host"
    return _whole(url, parts, port) or _host(parts.hostname or "") or _path(parts.path)


def _whole(url: str, parts: SplitResult, port: int | None) -> str | None:
    if "@" in parts.netloc:
        return "holds a user or password (name the variable of the key in key_env)"
    if "?" in url:
        return "holds a query (write its parameters under query)"
    if "#" in url:
        return "holds a fragment (leave out '#' and what follows)"
    if port == 0 or parts.netloc.endswith(":"):
        return "has no usable port"
    return None


def _host(name: str) -> str | None:
    """Of a host, in lower case and without brackets."""
    if ":" in name:
        return _ipv6(name)
    name = name.removesuffix(".")  # the root's dot changes nothing but how the name looks
    if _NUMBER.fullmatch(name.rpartition(".")[2]):
        return _ipv4(name)
    if not _NAME.fullmatch(name) or len(name) > 253:
        return "has no valid host name"
    if name in METADATA_NAMES or _SPELLED.search(name):
        return REFUSED
    return None


def _ipv4(name: str) -> str | None:
    try:
        address = ipaddress.IPv4Address(name)
    except ValueError:
        return "has an odd IPv4 address (write four decimal numbers, like 10.0.0.7)"
    return REFUSED if is_forbidden(address) else None


def _ipv6(name: str) -> str | None:
    try:
        address = ipaddress.IPv6Address(name)
    except ValueError:
        return "is not an address (an IPv6 address stands in brackets, like http://[fd00::7]:8000/v1)"
    if address.scope_id is not None:
        return REFUSED  # only link-local addresses need a zone
    return REFUSED if is_forbidden(address) else None


def is_forbidden(address: Address) -> bool:
    return any(one in network for one in meanings(address) for network in FORBIDDEN if one.version == network.version)


def meanings(address: Address) -> list[Address]:
    """The address itself, and the IPv4 addresses that an IPv6 address carries by one scheme or another."""
    found: list[Address] = [address]
    if isinstance(address, ipaddress.IPv6Address):
        found += [inner for inner in (address.ipv4_mapped, address.sixtofour) if inner is not None]
        found += address.teredo or ()
        if address in NAT64 or address in COMPATIBLE:
            found.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return found


def _path(path: str) -> str | None:
    if re.search(r"[{}]", path.replace("{model}", "")):
        return "holds braces (only {model} is replaced)"
    if ".." in path.split("/"):
        return "holds '..' (write the path it leads to)"
    return None
