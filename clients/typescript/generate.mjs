// Writes what the schema says: the types of ../../schema.graphql into
// src/schema.ts, and one typed document for each operation in operations/ into
// src/operations.ts. The console's operations become its documents alike.
//
//   node generate.mjs           writes them
//   node generate.mjs --check   fails if they are not what would be written
import { readFile, readdir, writeFile } from "node:fs/promises";
import { codegen } from "@graphql-codegen/core";
import * as typedDocumentNode from "@graphql-codegen/typed-document-node";
import * as typescript from "@graphql-codegen/typescript";
import * as typescriptOperations from "@graphql-codegen/typescript-operations";
import { buildSchema, concatAST, parse, validate } from "graphql";

const here = (path) => new URL(path, import.meta.url);

const sdl = await readFile(here("../../schema.graphql"), "utf8");
const schema = parse(sdl);

/** The operations of a folder. They are checked together: fragments may be in another file. */
async function operations(folder) {
  const documents = [];
  for (const location of (await readdir(here(folder))).sort()) {
    documents.push({ location, document: parse(await readFile(here(`${folder}${location}`), "utf8")) });
  }
  const faults = validate(buildSchema(sdl), concatAST(documents.map(({ document }) => document)));
  if (faults.length) throw new Error(`${folder}: ${faults.join("\n")}`);
  return documents;
}

const config = {
  documentMode: "string",
  enumsAsTypes: true,
  enumType: "string-literal",
  useTypeImports: true,
  immutableTypes: true,
  strictScalars: true,
  scalars: {
    _Any: "Record<string, unknown>",
    Cursor: "string",
    DateTime: "string",
    Decimal: { input: "string | number", output: "string" },
    Position: "string",
  },
};
const documents = { typescriptOperations, typedDocumentNode };
const own = await operations("operations/");
const files = [
  ["src/schema.ts", own, { typescript }],
  ["src/operations.ts", own, documents],
  ["../../gateway/console/src/operations.ts", await operations("../../gateway/console/operations/"), documents],
];

let drifted = false;
for (const [filename, documents, pluginMap] of files) {
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
