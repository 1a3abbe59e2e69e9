"""Says a constraint in words, for models whose provider cannot be held to it."""

from adapters.types import AnyJson, Constraint, Grammar, JsonSchema, OneOf, Regex

ALONE = "Write nothing before or after it, and no code fences."


def describe(constraint: Constraint) -> str:
    """An instruction for the prompt. It repeats the caller's constraint in full."""
    match constraint:
        case JsonSchema():
            about = f" The answer is: {constraint.description}" if constraint.description else ""
            schema = bytes(constraint.schema).decode()
            return f"Answer with one JSON value that is valid under this JSON Schema. {ALONE}{about}\n\n{schema}"
        case AnyJson():
            return f"Answer with one JSON object. {ALONE}"
        case Regex():
            return (
                f"Answer with a text that as a whole matches this regular expression. {ALONE}\n\n{constraint.pattern}"
            )
        case OneOf():
            return f"Answer with exactly one of these texts. {ALONE}\n\n" + "\n".join(constraint.choices)
        case Grammar():
            return f"Answer with a text that as a whole is a sentence of this grammar. {ALONE}\n\n{constraint.text}"
