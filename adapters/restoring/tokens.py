"""What the tokens of JSON look like, alone and in runs.

No text can be read in two ways by one of these patterns, so that what they cost grows with the text alone.
"""

import re

import msgspec

SPACE = r"[ \t\r\n]*"
HEX = "[0-9a-fA-F]"
PLAIN = r'[^"\\\x00-\x1f]*'
ESCAPE = rf'\\(?:["\\/bfnrt]|u{HEX}{{4}})'
STRING = f'"{PLAIN}(?:{ESCAPE}{PLAIN})*"'
NUMBER = r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"
DELIMITERS = " \t\r\n,]}"
DELIMITED = r"(?=[ \t\r\n,\]}])"
NOT_NULL = f"(?:{STRING}|(?:true|false|{NUMBER}){DELIMITED})"
SCALAR = f"(?:{STRING}|(?:true|false|null|{NUMBER}){DELIMITED})"
COLON_ = f"{SPACE}:{SPACE}"
COMMA = f"{SPACE},{SPACE}"
FLAT_LIST = rf"\[{SPACE}(?:{SCALAR}{SPACE}(?:,{SPACE}(?=[^ \t\r\n\]])|(?=\]))){{0,1000}}\]"
FLAT_OBJECT = rf'\{{{SPACE}(?:{STRING}{COLON_}{SCALAR}{SPACE}(?:,{SPACE}(?=")|(?=\}}))){{0,1000}}\}}'
FLAT = f"(?:{SCALAR}|{FLAT_LIST}|{FLAT_OBJECT})"
"""A value with no list or object within a list or object."""

SPACED = re.compile(SPACE)
ELEMENTS = re.compile(f"{SPACE}(?:{FLAT}{COMMA}){{0,1000}}")
MEMBERS = re.compile(f"{SPACE}(?:{STRING}{COLON_}{FLAT}{COMMA}){{0,1000}}")
STAYING = re.compile(f"{SPACE}(?:{STRING}{COLON_}{NOT_NULL}{SPACE}(,){SPACE}){{0,1000}}")
"""Members that stay, whatever their keys."""

CONTAINER = re.compile(f"{FLAT_LIST}|{FLAT_OBJECT}")
VALUE = re.compile(rf'{SPACE}(?:(?P<scalar>{SCALAR})|(?P<opening>[{{\[])|(?P<quote>")|(?P<atom>[-0-9tfn]))?')
KEY = re.compile(f'{SPACE}(?:({STRING}){SPACE}:{SPACE}|("))?')
COLON = re.compile(f"{SPACE}(:)?")
NEXT = re.compile(f"{SPACE}([,}}\\]])?")
INSIDE = re.compile(f"{PLAIN}(?:{ESCAPE}{PLAIN})*")
CUT_ESCAPE = re.compile(rf"\\(?:u{HEX}{{0,3}})?\Z")
LETTERS = re.compile("[-+.0-9a-zA-Z]*")
WHOLE_ATOM = re.compile(f"true|false|null|{NUMBER}")
CLOSING = {"{": "}", "[": "]"}

decode_text = msgspec.json.Decoder(str).decode


def found_in(pattern: re.Pattern[str], text: str, at: int) -> re.Match[str]:
    """What a pattern finds that always matches, if only nothing."""
    found = pattern.match(text, at)
    assert found is not None
    return found


def end_of(pattern: re.Pattern[str], text: str, at: int) -> int:
    """How far such a pattern reaches."""
    return found_in(pattern, text, at).end()


def name_of(key: list[str]) -> str:
    """A key without its quotes and escapes. What is no text, such as half a surrogate pair, names nothing."""
    written = "".join(key)
    try:
        return decode_text(written) if "\\" in written else written[1:-1]
    except msgspec.DecodeError:
        return written
