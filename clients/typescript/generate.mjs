// Writes what the schema says: the types of ../../schema.graphql into
// src/schema.ts, and one typed document for each operation in operations/ into
// src/operations.ts.
//
//   node generate.mjs           writes them
//   node generate.mjs --check   fails if they are not what would be written
import { readFile, readdir, writeFile } from "node:fs/promises";
import { codegen } from "@graphql-codegen/core";
import * as typedDocumentNode from "@graphql-codegen/typed-document-node";
import * as typescript from "@graphql-codegen/typescript";
import * as typescriptOperations from "@graphql-codegen/typescript-operations";
import { buildSchema, parse, validate } from "graphql";

const here = (path) => new URL(path, import.meta.url);

const sdl = await readFile(here("../../schema.graphql"), "utf8");
const schema = parse(sdl);
const documents = [];
for (const name of (await readdir(here("operations/"))).sort()) {
  const document = parse(await readFile(here(`operations/${name}`), "utf8"));
  const faults = validate(buildSchema(sdl), document);
  if (faults.length) throw new Error(`operations/${name}: ${faults.join("\n")}`);
  documents.push({ location: name, document });
}

const config = {
  documentMode: "string",
  enumsAsTypes: true,
  enumType: "string-literal",
  useTypeImports: true,
  immutableTypes: true,
  strictScalars: true,
  scalars: {
    Cursor: "string",
    DateTime: "string",
    Decimal: { input: "string | number", output: "string" },
    Position: "string",
  },
};
const files = {
  "src/schema.ts": { typescript },
  "src/operations.ts": { typescriptOperations, typedDocumentNode },
};

let drifted = false;
for (const [filename, pluginMap] of Object.entries(files)) {
  const plugins = Object.keys(pluginMap).map((name) => ({ [name]: {} }));
  const text = await codegen({ filename, schema, documents, config, plugins, pluginMap });
  const wanted = `// Written by generate.mjs from schema.graphql and operations/; do not edit.\n\n${text}\n`;
  if (!process.argv.includes("--check")) {
    await writeFile(here(filename), wanted);
  } else if ((await readFile(here(filename), "utf8").catch(() => null)) !== wanted) {
    console.error(`${filename} is not what the schema says: npm run generate`);
    drifted = true;
  }
}
process.exit(drifted ? 1 : 0);
