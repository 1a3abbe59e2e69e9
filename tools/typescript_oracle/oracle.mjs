// Writes what ts-json-schema-generator makes of every exported type: node oracle.mjs DIRECTORY
import { createGenerator } from "ts-json-schema-generator";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";

function exported(path) {
    const file = ts.createSourceFile(path, readFileSync(path, "utf8"), ts.ScriptTarget.Latest);
    const names = new Set();
    for (const statement of file.statements) {
        const isExported = statement.modifiers?.some((one) => one.kind === ts.SyntaxKind.ExportKeyword);
        const isGeneric = statement.typeParameters !== undefined;
        if (isExported && !isGeneric && !ts.isModuleDeclaration(statement)) names.add(statement.name.text);
    }
    return [...names];
}

const directory = process.argv[2];
for (const name of readdirSync(directory).filter((one) => one.endsWith(".ts")).sort()) {
    const path = join(directory, name);
    const schemas = {};
    // Type checking would refuse the form without "="; sorted properties would hide the order.
    const generator = createGenerator({ path, skipTypeCheck: true, sortProps: false, topRef: false, jsDoc: "extended" });
    for (const type of exported(path)) {
        schemas[type] = generator.createSchema(type);
    }
    writeFileSync(path.replace(/\.ts$/, ".json"), JSON.stringify(schemas, null, 1) + "\n");
}
