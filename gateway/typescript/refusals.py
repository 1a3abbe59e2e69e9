"""What TypeScript has and JSON has not, or what would need a type checker: each with what to write instead."""

ONLY_DATA = "only data has a JSON form"

OPERATORS = {
    "readonly": "",
    "keyof": "'keyof' is not supported; write the names out as a union of texts",
    "typeof": "'typeof' is not supported; write the type out",
    "infer": "'infer' is not supported; write the type out",
    "unique": "'unique symbol' is not supported; " + ONLY_DATA,
    "asserts": "type predicates are not supported; " + ONLY_DATA,
    "new": "constructor types are not supported; " + ONLY_DATA,
    "abstract": "constructor types are not supported; " + ONLY_DATA,
    "import": "import types are not supported; declare the type in this text",
    "this": "'this' is not supported; write the type's name",
    "function": "function types are not supported; " + ONLY_DATA,
    "never": "'never' allows no value; leave the member out",
    "void": "'void' has no JSON form; write null",
    "symbol": "'symbol' has no JSON form; write string",
}
"""Words that begin a type. The first is handled; the others are refused."""

_WRITE_OUT = "is not supported; write the resulting type out"
_LIST = "has no JSON form; write a list: T[]"
_MAP = "has no JSON form; write Record<string, T>"
_PLAIN = "has no JSON form; write the plain type"

TYPES = {
    name: f"'{name}' {advice}"
    for advice, names in {
        _WRITE_OUT: "Exclude Extract NonNullable ReturnType Parameters ConstructorParameters InstanceType "
        "ThisParameterType OmitThisParameter ThisType NoInfer Uppercase Lowercase Capitalize Uncapitalize",
        _LIST: "Set ReadonlySet WeakSet Iterable Iterator IterableIterator AsyncIterable Generator ArrayLike "
        "Int8Array Uint8Array Uint8ClampedArray Int16Array Uint16Array Int32Array Uint32Array Float32Array "
        "Float64Array BigInt64Array BigUint64Array",
        _MAP: "Map ReadonlyMap WeakMap",
        _PLAIN: "Promise PromiseLike Awaited WeakRef",
        "is not supported; " + ONLY_DATA: "Function CallableFunction NewableFunction Symbol ArrayBuffer DataView "
        "Buffer Blob",
        "is not supported; write string": "String RegExp URL",
        "is not supported; write number": "Number",
        "is not supported; write boolean": "Boolean",
        "is not supported; write bigint": "BigInt",
        "is not supported; write object": "Object",
    }.items()
    for name in names.split()
}
"""Names of the standard library. A text may declare a type of such a name itself."""

STATEMENTS = {
    "import": "imports are not supported; declare every type in this text",
    "class": "classes are not supported; write an interface",
    "abstract": "classes are not supported; write an interface",
    "function": "functions are not supported; only types can be declared",
    "async": "functions are not supported; only types can be declared",
    "const": "values are not supported; only types can be declared",
    "let": "values are not supported; only types can be declared",
    "var": "values are not supported; only types can be declared",
    "global": "global declarations are not supported; declare the types themselves",
    "@": "decorators are not supported; write an interface",
}
