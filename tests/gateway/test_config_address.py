"""Where a provider may be: private networks yes, the machine's own metadata never, however it is spelled."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.address import REFUSED, complaint

FOUR_NUMBERS = "has an odd IPv4 address (write four decimal numbers, like 10.0.0.7)"
NOT_BEGIN = "must begin with http:// or https:// and a host"
ODD = "holds spaces or characters that no address has (write names in ASCII)"
USER = "holds a user or password (name the variable of the key in key_env)"
NO_HOST = "has no valid host name"
NOT_URL = "is not an address (write it like https://api.example.com/v1)"
BRACES = "holds braces (only {model} is replaced)"


@pytest.mark.parametrize(
    "url",
    [
        "https://api.openai.com/v1",
        "https://api.openai.com/v1/",
        "https://API.example.com",
        "http://localhost:8000/v1",
        "http://127.0.0.1:8000",
        "http://[::1]:8000/v1",
        "http://10.0.0.7/v1",
        "http://192.168.1.2:8080",
        "http://172.16.0.1",
        "http://[fd12:3456::7]/v1",
        "http://gpu-1:8000/v1",
        "http://vllm.models.svc.cluster.local./v1",
        "http://my_service:8000",
        "https://x.openai.azure.com/openai/deployments/{model}",
        "http://169.253.1.1",
        "http://metadata-service.example.com",
        "http://[::ffff:10.0.0.7]/v1",
    ],
)
def test_fine(url: str) -> None:
    assert complaint(url) is None


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://169.254.169.254/latest", REFUSED),
        ("http://169.254.169.254.:80/", REFUSED),
        ("http://169.254.0.1/", REFUSED),
        ("https://169.254.170.2/v2", REFUSED),
        ("http://[fe80::1]/", REFUSED),
        ("http://[fe80::1%25eth0]/", REFUSED),
        ("http://[febf::1]/", REFUSED),
        ("http://[fd00:ec2::254]/", REFUSED),
        ("http://[FD00:0EC2:0:0:0:0:0:254]/", REFUSED),
        ("http://[fd20:ce::254]/", REFUSED),
        ("http://[::ffff:169.254.169.254]/", REFUSED),
        ("http://[::ffff:a9fe:a9fe]/", REFUSED),
        ("http://[::a9fe:a9fe]/", REFUSED),
        ("http://[64:ff9b::a9fe:a9fe]/", REFUSED),
        ("http://[2002:a9fe:a9fe::]/", REFUSED),
        ("http://100.100.100.200/", REFUSED),
        ("http://168.63.129.16/", REFUSED),
        ("http://metadata.google.internal/computeMetadata/v1/", REFUSED),
        ("http://METADATA.google.internal./", REFUSED),
        ("http://metadata/", REFUSED),
        ("http://instance-data/latest", REFUSED),
        ("http://169.254.169.254.nip.io/", REFUSED),
        ("http://x.169-254-169-254.sslip.io/", REFUSED),
        ("http://2852039166/", FOUR_NUMBERS),
        ("http://0xA9FEA9FE/", FOUR_NUMBERS),
        ("http://0xa9.0xfe.0xa9.0xfe/", FOUR_NUMBERS),
        ("http://0251.0376.0251.0376/", FOUR_NUMBERS),
        ("http://169.254.43518/", FOUR_NUMBERS),
        ("http://169.16689662/", FOUR_NUMBERS),
        ("http://025177524776/", FOUR_NUMBERS),
        ("http://127.1/", FOUR_NUMBERS),
        ("http://010.0.0.7/", FOUR_NUMBERS),
        ("http://1.2.3.4.5/", FOUR_NUMBERS),
        ("http://169.254.169.254..", NO_HOST),
        ("http://api.openai.com@169.254.169.254/", USER),
        ("http://user:password@api.openai.com/", USER),
        ("http://169.254.169.254\\@api.openai.com/", ODD),
        ("http:\\\\169.254.169.254/", ODD),
        ("http://169.254.169.254%2f@x/", USER),
        ("http://%31%36%39.254.169.254/", FOUR_NUMBERS),
        ("http://a%00b/", NO_HOST),
        ("http://１６９.254.169.254/", ODD),
        ("http://169。254。169。254/", ODD),
        ("http://münchen.example/", ODD),
        ("http://api.openai.com/v1\r\nx: y", ODD),
        (" http://api.openai.com", ODD),
        ("http://api .com", ODD),
        ("", ODD),
        ("api.openai.com/v1", NOT_BEGIN),
        ("//api.openai.com/v1", NOT_BEGIN),
        ("ftp://api.openai.com", NOT_BEGIN),
        ("file:///etc/passwd", NOT_BEGIN),
        ("http+unix://%2Frun%2Fx.sock/v1", NOT_BEGIN),
        ("HTTP://api.openai.com", NOT_BEGIN),
        ("http:///v1", NOT_BEGIN),
        ("http:api.openai.com", NOT_BEGIN),
        ("http://:8000/v1", NO_HOST),
        ("http://-x/", NO_HOST),
        ("http://a..b/", NO_HOST),
        ("http://[::1/", NOT_URL),
        ("http://[not-ip]/", NOT_URL),
        ("http://x:99999/", NOT_URL),
        ("http://x:y/", NOT_URL),
        ("http://x:0/", "has no usable port"),
        ("http://x:/", "has no usable port"),
        ("https://x/v1?key=1", "holds a query (write its parameters under query)"),
        ("https://x/v1?", "holds a query (write its parameters under query)"),
        ("https://x/v1#a", "holds a fragment (leave out '#' and what follows)"),
        ("https://{model}.example.com/v1", NO_HOST),
        ("https://x/{deployment}", BRACES),
        ("https://x/{{model}}", BRACES),
        ("https://x/{model", BRACES),
        ("https://x/a/../b", "holds '..' (write the path it leads to)"),
    ],
)
def test_refused(url: str, told: str) -> None:
    assert complaint(url) == told


@given(st.one_of(st.text(), st.from_regex(r"https?://[\[\]0-9a-fx.:%@/{}]*", fullmatch=True)))
def test_any_text_is_judged(url: str) -> None:
    complaint(url)


@given(st.integers(0, 0xFFFF), st.sampled_from(["http://[::ffff:a9fe:{:x}]", "http://169.254.{}.{}"]))
def test_all_of_link_local(low: int, form: str) -> None:
    parts = (low,) if form.startswith("http://[") else (low >> 8, low & 0xFF)
    assert complaint(form.format(*parts)) == REFUSED
