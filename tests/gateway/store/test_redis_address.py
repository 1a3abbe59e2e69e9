"""Where Redis is, and what is said of a URL that is wrong."""

from pathlib import Path

import pytest

from gateway.store.redis.address import Address, BadAddress, parse


@pytest.mark.parametrize(
    ("url", "kind", "nodes", "options"),
    [
        ("redis://localhost", "single", (("localhost", 6379),), {}),
        ("redis://h:7000/3", "single", (("h", 7000),), {"db": 3}),
        ("redis://h/?db=4", "single", (("h", 6379),), {"db": 4}),
        ("REDIS://h", "single", (("h", 6379),), {}),
        ("redis://:pass%2Fword@h", "single", (("h", 6379),), {"password": "pass/word"}),
        ("redis://us%40er:p%3Aw@[::1]:7", "single", (("::1", 7),), {"username": "us@er", "password": "p:w"}),
        ("redis://user:p@w@h", "single", (("h", 6379),), {"username": "user", "password": "p@w"}),
        ("redis+cluster://a:1,b,[::1]:3", "cluster", (("a", 1), ("b", 6379), ("::1", 3)), {}),
        ("redis+sentinel://u:p@a,b:2/s", "sentinel", (("a", 26379), ("b", 2)), {"username": "u", "password": "p"}),
        ("redis+sentinel://a:1/s/5", "sentinel", (("a", 1),), {"db": 5}),
        (
            "rediss://h?ssl_cert_reqs=none",
            "single",
            (("h", 6379),),
            {"ssl_cert_reqs": "none", "ssl_check_hostname": False},
        ),
        ("rediss+cluster://h?ssl_check_hostname=False", "cluster", (("h", 6379),), {"ssl_check_hostname": False}),
    ],
)
def test_urls(url: str, kind: str, nodes: tuple[tuple[str, int], ...], options: dict[str, object]) -> None:
    address = parse(url)
    assert (address.kind, address.nodes, address.options) == (kind, nodes, options)
    assert address.tls == url.lower().startswith("rediss")


def test_a_socket(tmp_path: Path) -> None:
    address = parse(f"unix://user:pw@{tmp_path}/redis%20x.sock?db=2")
    assert address.path == f"{tmp_path}/redis x.sock"
    assert address.options == {"username": "user", "password": "pw", "db": 2}


def test_passwords_of_sentinels() -> None:
    address = parse("redis+sentinel://:master@a/s?sentinel_username=u&sentinel_password=p%20q")
    assert address.options == {"password": "master"}
    assert address.sentinel_options == {"username": "u", "password": "p q"}
    assert address.service == "s"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "begins with one of redis://, rediss://, unix://"),
        ("localhost:6379", "begins with one of"),
        ("http://secret@h", "begins with one of"),
        ("redis:h", "begins with one of"),
        ("redis://", "no host"),
        ("redis://:secret@", "no host"),
        ("redis://h:port", "not a number of 1 to 65535"),
        ("redis://h:0", "not a number of 1 to 65535"),
        ("redis://h:65536", "not a number of 1 to 65535"),
        ("redis://:secret:1", "a password ends with @"),
        ("redis://::1", "an IPv6 address is written [::1]"),
        ("redis://:sec/ret@h:1", "%2F|%3A"),
        ("redis://u:sec#ret@h:1", "%23"),
        ("redis://u:sec?ret@h:1", "unknown option"),
        ("redis://h/secret", "not a number"),
        ("redis://h/1/secret", "one number"),
        ("redis://h/²", "not a number"),
        ("redis://a,b", "redis+cluster:// or redis+sentinel://"),
        ("redis://[::1", "brackets"),
        ("redis://h?secret=1", "unknown option; there are db, client_name"),
        ("redis://h?db=secret", "db in the Redis URL is not a number"),
        ("redis://h?ssl_ca_certs=/x", "begin it with rediss"),
        ("redis://h?sentinel_password=secret", "is for redis+sentinel://"),
        ("rediss://h?ssl_ca_certs=/no/secret", "a file that is not there"),
        ("rediss://h?ssl_cert_reqs=secret", "required, optional or none"),
        ("rediss://h?ssl_check_hostname=secret", "true or false"),
        ("redis+cluster://h/1", "only database 0"),
        ("redis+cluster://a,,b", "no host"),
        ("redis+sentinel://h", "needs the service"),
        ("redis+sentinel://h/s/1/2", "needs the service"),
        ("redis+sentinel://h/s/secret", "not a number"),
        ("unix://", "path of a socket"),
        ("unix://host/path", "path of a socket"),
    ],
)
def test_what_is_wrong_is_named_and_secrets_are_not(url: str, says: str) -> None:
    with pytest.raises(BadAddress) as caught:
        parse(url)
    message = str(caught.value)
    assert any(one in message for one in says.split("|")), message
    assert "secret" not in message and "sec" not in message
    assert caught.value.__cause__ is None and caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://u:secret@h/3", "redis://h:6379"),
        ("rediss+sentinel://u:secret@a,[::1]:2/s?sentinel_password=secret", "rediss+sentinel://a:26379,[::1]:2/s"),
        ("unix://:secret@/run/x", "unix:///run/x"),
    ],
)
def test_an_address_shows_no_secrets(url: str, shown: str) -> None:
    address = parse(url)
    assert str(address) == shown
    assert repr(address) == f"Address({shown})"
    assert isinstance(address, Address)
