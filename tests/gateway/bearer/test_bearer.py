"""Who a token says is asking; and every way in which one that is not good has been made to pass elsewhere."""

import asyncio
import hmac
import os
import subprocess
import sys
from base64 import urlsafe_b64encode
from hashlib import sha256
from pathlib import Path
from typing import Any

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import strategies as st

from gateway.bearer import BearerError, Identity, JwtSettings, Verifier, unusable
from gateway.bearer.keyset import BadKeys, parse
from gateway.bearer.source import FRESH, PAUSE, WATCH
from tests.gateway.bearer.issuer import (
    AUDIENCE,
    EC,
    ED,
    ISSUER,
    NOW,
    OTHER_RSA,
    RSA,
    SMALL_RSA,
    by_hand,
    claims,
    jwk,
    jwks,
    token,
)

URL = "https://id.example.org/keys"
ALL = jwks(jwk(RSA, "r"), jwk(EC, "e"), jwk(ED, "d"))


class Host:
    """Where the keys are: it counts how often it was asked."""

    def __init__(self, data: bytes = ALL) -> None:
        self.data, self.asked, self.now, self.broken = data, 0, NOW, False

    async def fetch(self) -> bytes:
        self.asked += 1
        await asyncio.sleep(0)
        if self.broken:
            raise ConnectionError("no way to the host")
        return self.data

    def wall(self) -> float:
        return self.now

    def verifier(self, **more: Any) -> Verifier:
        settings = {"issuer": ISSUER, "audience": AUDIENCE, "jwks": URL, **more}
        return Verifier(msgspec.convert(settings, JwtSettings), self.fetch, self.wall)


async def refused(verifier: Verifier, given: bytes) -> str:
    """Why; it stays unknown, and the message does not show it."""
    with pytest.raises(BearerError) as caught:
        await verifier.verify(given)
    assert verifier.known(given) is None
    for part in given.split(b"."):
        assert len(part) < 5 or part.decode(errors="replace") not in caught.value.message
    return caught.value.why


@pytest.mark.parametrize(("key", "algorithm", "kid"), [(RSA, "RS256", "r"), (EC, "ES256", "e"), (ED, "EdDSA", "d")])
async def test_a_good_token_is_known_from_then_on(key: Any, algorithm: str, kid: str) -> None:
    host = Host()
    verifier, good = host.verifier(leeway=0), token(key=key, algorithm=algorithm, kid=kid)
    assert verifier.known(good) is None
    assert await verifier.verify(good) == Identity("red", "anna", NOW + 60)
    assert verifier.known(good) == Identity("red", "anna", NOW + 60)
    host.now = NOW + 59.9
    assert verifier.known(good) is not None
    host.now = NOW + 60
    assert verifier.known(good) is None
    assert await refused(verifier, good) == "expired"
    await verifier.close()


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"exp": NOW - 31}, "expired"),
        ({"exp": None}, "claim"),
        ({"exp": str(NOW + 60)}, "claim"),
        ({"exp": True}, "claim"),
        ({"exp": 10**30}, "claim"),
        ({"nbf": NOW + 31}, "not_yet"),
        ({"iat": NOW + 31}, "not_yet"),
        ({"nbf": "soon"}, "claim"),
        ({"iss": "https://evil.example.org/"}, "issuer"),
        ({"iss": ISSUER.rstrip("/")}, "issuer"),
        ({"iss": [ISSUER]}, "issuer"),
        ({"iss": None}, "issuer"),
        ({"aud": "others"}, "audience"),
        ({"aud": []}, "audience"),
        ({"aud": {AUDIENCE: 1}}, "audience"),
        ({"aud": None}, "audience"),
        ({"team": None}, "claim"),
        ({"team": ""}, "claim"),
        ({"team": ["red", "blue"]}, "claim"),
        ({"team": "red\r\nx-team: blue"}, "claim"),
        ({"team": "r" * 257}, "claim"),
        ({"sub": None}, "claim"),
        ({"sub": 7}, "claim"),
    ],
)
async def test_claims_that_are_refused(changes: dict[str, Any], why: str) -> None:
    assert await refused(Host().verifier(), token(claims(**changes))) == why


@pytest.mark.parametrize("changes", [{"exp": NOW - 29}, {"nbf": NOW + 29}, {"iat": NOW + 29}, {"aud": ["x", AUDIENCE]}])
async def test_clocks_may_differ_a_little(changes: dict[str, Any]) -> None:
    assert (await Host().verifier().verify(token(claims(**changes)))).team == "red"


@pytest.mark.parametrize(
    ("settings", "more", "team"),
    [
        ({"team_claim": "org.team"}, {"org": {"team": "blue"}}, "blue"),
        ({"team_claim": "https://x.org/team"}, {"https://x.org/team": "blue"}, "blue"),
        ({"team_claim": "groups"}, {"groups": ["blue"]}, "blue"),
        ({"team_claim": "groups", "teams": {"g1": "blue", "g2": "blue"}}, {"groups": ["g0", "g1", "g2", 7]}, "blue"),
        ({"teams": {"red": "blue"}}, {}, "blue"),
        ({"team_claim": "groups", "teams": {"g1": "blue", "g2": "red"}}, {"groups": ["g1", "g2"]}, None),
        ({"teams": {"blue": "red"}}, {}, None),
        ({"team_claim": "org.team"}, {"org": "blue"}, None),
        ({"team_claim": "team.x"}, {}, None),
    ],
)
async def test_the_team(settings: dict[str, Any], more: dict[str, Any], team: str | None) -> None:
    verifier, given = Host().verifier(**settings), token(claims(**more))
    if team is None:
        assert await refused(verifier, given) == "claim"
    else:
        assert (await verifier.verify(given)).team == team


async def test_the_user_is_what_the_claim_says() -> None:
    verifier = Host().verifier(user_claim="email", audience=["a", AUDIENCE])
    assert (await verifier.verify(token(claims(email="a@x.org")))).user == "a@x.org"


def public_pem() -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return RSA.public_key().public_bytes(serialization.Encoding.PEM, form)


def with_secret(secret: bytes, header: dict[str, Any]) -> bytes:
    signed = by_hand(header, claims(), b"x").rpartition(b".")[0]
    return signed + b"." + urlsafe_b64encode(hmac.digest(secret, signed, sha256)).rstrip(b"=")


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (by_hand({"alg": "none"}, claims(), b""), "malformed"),
        (by_hand({"alg": "none"}, claims(), b"x"), "algorithm"),
        (by_hand({"alg": "NonE", "kid": "r"}, claims(), b"x"), "algorithm"),
        (with_secret(public_pem(), {"alg": "HS256", "kid": "r"}), "algorithm"),
        (with_secret(msgspec.json.encode(jwk(RSA, "r")), {"alg": "HS256", "kid": "r"}), "algorithm"),
        (token(algorithm="RS512"), "algorithm"),
        (token(key=OTHER_RSA), "signature"),
        (token(key=EC, algorithm="ES256", kid="r"), "key"),
        (token(kid="e"), "key"),
        (token(kid="../../dev/null"), "key"),
        (token(key=OTHER_RSA, jku="https://evil.example.org/keys"), "signature"),
        (token(key=OTHER_RSA, x5u="https://evil.example.org/x"), "signature"),
        (token(key=OTHER_RSA, jwk=jwk(OTHER_RSA, "r")), "signature"),
        (token(key=OTHER_RSA, kid="own", jwk=jwk(OTHER_RSA, "own")), "key"),
        (token(crit=["exp"]), "malformed"),
        (token(crit=["b64"], b64=True), "malformed"),
        (by_hand({"alg": "RS256", "kid": "r", "b64": False}, claims(), b"x"), "malformed"),
        (token(typ="logout+jwt"), "malformed"),
        (by_hand({"alg": ["RS256"]}, claims(), b"x"), "malformed"),
        (by_hand({"alg": "RS256", "kid": {"$ne": 1}}, claims(), b"x"), "malformed"),
        (b"", "malformed"),
        (b"..", "malformed"),
        (b"sk-gw-abcdefghijkl-secret", "malformed"),
        (b"a.b", "malformed"),
        (token() + b".x.y", "malformed"),
        (token() + b"\n", "malformed"),
        (token().replace(b".", b"!."), "malformed"),
        (token(claims(x="y" * 17_000)), "malformed"),
        (b"\xff\xfe.\x00.a", "malformed"),
    ],
)
async def test_attacks(given: bytes, why: str) -> None:
    host = Host()
    assert await refused(host.verifier(), given) == why
    assert host.asked <= 2


async def test_a_changed_token_is_not_the_one_that_is_known() -> None:
    verifier, good = Host().verifier(), token()
    await verifier.verify(good)
    head, _, signature = good.split(b".")
    body = urlsafe_b64encode(msgspec.json.encode(claims(team="blue"))).rstrip(b"=")
    assert await refused(verifier, b".".join((head, body, signature))) == "signature"
    assert await refused(verifier, good[:-8] + b"AAAAAAAA") == "signature"


async def test_a_token_that_is_signed_but_holds_no_claims() -> None:
    host = Host()
    for payload in (b"[1]", b"null", b"{", b"\xff", b"[" * 5000):
        given = jwt.PyJWS().encode(payload, RSA, algorithm="RS256", headers={"kid": "r"}).encode()
        assert await refused(host.verifier(), given) == "malformed"


@given(st.binary(max_size=200), st.integers(0, 2))
async def test_any_bytes_are_refused_with_a_sentence(junk: bytes, place: int) -> None:
    parts = token().split(b".")
    parts[place] = junk
    with pytest.raises(BearerError) as caught:
        await Host().verifier().verify(b".".join(parts))
    assert len(caught.value.message) < 200


async def test_without_a_name_the_only_key_of_the_kind_is_meant() -> None:
    assert (await Host().verifier().verify(token(kid=None))).team == "red"
    two = Host(jwks(jwk(RSA, "r"), jwk(OTHER_RSA, "o")))
    assert await refused(two.verifier(), token(kid=None)) == "key"
    assert (await two.verifier().verify(token())).team == "red"


async def test_keys_of_one_name_are_all_tried() -> None:
    host = Host(jwks(jwk(OTHER_RSA, "r"), jwk(EC, "r"), jwk(RSA, "r")))
    assert (await host.verifier().verify(token())).team == "red"


@pytest.mark.parametrize(
    "key",
    [
        {"kty": "oct", "kid": "r", "k": "c2VjcmV0"},
        jwk(RSA, "r", use="enc"),
        jwk(RSA, "r", key_ops=["encrypt"]),
        jwk(RSA, "r", alg="RSA-OAEP"),
        jwk(SMALL_RSA, "r"),
        {"kty": "RSA", "kid": "r", "n": "!!", "e": "AQAB"},
        {"kty": "EC", "kid": "r", "crv": "P-256", "x": "AAAA", "y": "AAAA"},
        {"kty": "OKP", "kid": "r", "crv": "X25519", "x": "AAAA"},
        {"kty": "RSA", "kid": 7},
    ],
)
async def test_keys_that_cannot_verify_are_left_out(key: dict[str, Any]) -> None:
    with pytest.raises(BadKeys, match="no public key"):
        parse(jwks(key))
    assert [found.kid for found in parse(jwks(key, jwk(EC, "e")))] == ["e"]


async def test_a_key_serves_the_algorithm_that_it_is_for() -> None:
    host = Host(jwks(jwk(RSA, "r", alg="PS256")))
    settings = {"algorithms": ["RS256", "PS256"]}
    assert await refused(host.verifier(**settings), token()) == "key"
    assert (await host.verifier(**settings).verify(token(algorithm="PS256"))).team == "red"


@pytest.mark.parametrize(
    "data", [b"", b"[]", b'{"keys": 7}', b"<html>", b"\xff", b'{"keys": []}', b" " * (1 << 20) + ALL]
)
def test_what_is_no_set_of_keys(data: bytes) -> None:
    with pytest.raises(BadKeys):
        parse(data)


def test_a_set_of_too_many_keys() -> None:
    with pytest.raises(BadKeys, match="257"):
        parse(jwks(*[{"kty": "RSA"}] * 257))


async def test_keys_are_fetched_once_for_many() -> None:
    host = Host()
    verifier = host.verifier()
    await asyncio.gather(*(verifier.verify(token(claims(sub=f"u{i}"))) for i in range(20)))
    assert host.asked == 1


async def test_a_new_key_is_known_at_once_and_unknown_ones_cost_a_question_in_half_a_minute() -> None:
    host = Host(jwks(jwk(RSA, "r")))
    verifier = host.verifier()
    await verifier.start()
    host.now += PAUSE
    host.data = ALL
    new = token(key=EC, algorithm="ES256", kid="e")
    assert (await verifier.verify(new)).team == "red" and host.asked == 2
    for i in range(50):
        assert await refused(verifier, token(key=OTHER_RSA, kid=f"k{i}")) == "key"
    assert host.asked == 2
    host.now += PAUSE
    for i in range(50):
        assert await refused(verifier, token(key=OTHER_RSA, kid=f"k{i}")) == "key"
    assert host.asked == 3


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_keys_are_fetched_again_in_the_background() -> None:
    host = Host()
    verifier, good = host.verifier(), token(claims(exp=NOW + 9000))
    await verifier.verify(good)
    host.now += FRESH
    host.data = jwks(jwk(OTHER_RSA, "r"))
    assert verifier.known(good) is not None
    await settle()
    assert host.asked == 2
    assert verifier.known(good) is None
    assert await refused(verifier, good) == "signature"


async def test_old_keys_stay_while_there_are_no_newer_ones() -> None:
    host = Host()
    verifier, good = host.verifier(), token(claims(exp=NOW + 9000))
    await verifier.verify(good)
    for change in ("broken", "data"):
        host.now += FRESH
        host.broken = change == "broken"
        host.data = b"<html>down for maintenance</html>"
        assert verifier.known(good) is not None
        await settle()
        assert verifier.problem is not None
        assert (await verifier.verify(token(claims(exp=NOW + 9000, sub=change)))).user == change
    host.data = ALL
    host.now += PAUSE
    verifier.known(good)
    await settle()
    assert verifier.problem is None


async def test_without_any_keys_nothing_is_known_of_a_token() -> None:
    host = Host()
    host.broken = True
    verifier = host.verifier()
    assert await refused(verifier, token()) == "unavailable"
    assert await refused(verifier, token()) == "unavailable"
    assert host.asked == 1
    host.broken, host.now = False, NOW + PAUSE
    assert (await verifier.verify(token())).team == "red"


async def test_closing_ends_a_fetch() -> None:
    host = Host()

    async def never() -> bytes:
        await asyncio.sleep(60)
        return b""

    settings = JwtSettings(issuer=ISSUER, audience=AUDIENCE, jwks=URL)
    verifier = Verifier(settings, never, host.wall)
    verifier.known(b"x")
    await asyncio.sleep(0)
    await verifier.close()
    assert len(asyncio.all_tasks()) == 1


async def test_keys_from_a_file_that_changes(tmp_path: Path) -> None:
    host, file = Host(), tmp_path / "keys.json"
    file.write_bytes(jwks(jwk(RSA, "r")))
    settings = JwtSettings(issuer=ISSUER, audience=AUDIENCE, jwks="keys.json")
    verifier = Verifier(settings, None, host.wall, tmp_path)
    good, new = token(claims(exp=NOW + 9000)), token(key=EC, algorithm="ES256", kid="e")
    await verifier.verify(good)
    assert await refused(verifier, new) == "key"
    file.write_bytes(ALL)
    assert (await verifier.verify(new)).team == "red"
    await verifier.verify(good)
    file.write_bytes(b"{")
    os.utime(file, ns=(1, 1))
    assert (await verifier.verify(token(claims(sub="otto")))).user == "otto"
    assert verifier.problem is not None and verifier.known(good) is not None
    file.write_bytes(jwks(jwk(EC, "e")))
    host.now += WATCH
    verifier.known(good)
    await settle()
    assert verifier.known(good) is None
    file.unlink()
    assert (await verifier.verify(token(claims(sub="eve"), EC, "ES256", "e"))).user == "eve"


async def test_a_missing_file(tmp_path: Path) -> None:
    settings = JwtSettings(issuer=ISSUER, audience=AUDIENCE, jwks=str(tmp_path / "none.json"))
    verifier = Verifier(settings, None, Host().wall)
    await verifier.start()
    assert verifier.problem is not None
    assert verifier.problem.startswith("the issuer's keys cannot be read: FileNotFoundError (")
    assert "none.json" in verifier.problem
    assert verifier.wait == 1
    assert await refused(verifier, token()) == "unavailable"


async def test_only_so_many_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.bearer.verifier.MOST_KNOWN", 3)
    verifier = Host().verifier()
    tokens = [token(claims(sub=f"u{i}")) for i in range(4)]
    for each in tokens[:3]:
        await verifier.verify(each)
    verifier.known(tokens[0])
    await verifier.verify(tokens[3])
    assert [verifier.known(each) is not None for each in tokens] == [True, False, True, True]


@pytest.mark.parametrize(
    ("address", "good"),
    [
        ("https://id.example.org/keys", True),
        ("http://127.0.0.1:8080/keys", True),
        ("http://[::1]/keys", True),
        ("http://localhost/keys", True),
        ("keys.json", True),
        ("http://id.example.org/keys", False),
        ("http://127.0.0.1.example.org/keys", False),
        ("https://user:secret@id.example.org/keys", False),
        ("https://id.example.org/keys#x", False),
        ("file:///etc/passwd", False),
        ("https://", False),
        ("https://[x/", False),
        ("https://host:99999/", False),
    ],
)
def test_where_keys_may_come_from(address: str, good: bool) -> None:
    settings = JwtSettings(issuer=ISSUER, audience=AUDIENCE, jwks=address)
    assert (unusable(settings) is None) == good
    if not good:
        with pytest.raises(ValueError, match="jwks"):
            Verifier(settings, Host().fetch, Host().wall)


@pytest.mark.parametrize(
    "wrong",
    [
        {"algorithms": ["none"]},
        {"algorithms": ["HS256"]},
        {"algorithms": []},
        {"issuer": ""},
        {"audience": []},
        {"leeway": -1},
        {"leeway": 3600},
        {"secret": "x"},
    ],
)
def test_settings_that_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"issuer": ISSUER, "audience": AUDIENCE, "jwks": URL, **wrong}, JwtSettings)


def test_nothing_is_imported_until_it_is_wanted() -> None:
    program = "import sys, gateway.bearer; assert not {'jwt', 'cryptography'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parents[3])
