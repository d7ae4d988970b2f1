// Bundles the playground into ../assets/playground: everything it needs, so
// that it works without a network. The same sources give the same bytes.
import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { gzipSync } from "fflate";
import { buildSchema, parse, validate } from "graphql";
import { pack } from "../web/pack.mjs";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const target = here("../assets/playground/");

// ---- the operations must be what the schema says

const schema = buildSchema(await readFile(here("../../schema.graphql"), "utf8"));
for (const name of ["purchase", "live"]) {
  const source = await readFile(here(`../../clients/typescript/operations/${name}.graphql`), "utf8");
  const faults = validate(schema, parse(source));
  if (faults.length) throw new Error(`${name}.graphql: ${faults.join("\n")}`);
}

// ---- what has to be other than its authors wrote it

/** Replaces code in a module. Fails when it is not there any more, so that a new version is looked at. */
const patches = [
  {
    module: /monaco-editor\/esm\/vs\/base\/browser\/dom\.js$/,
    prelude: `import { createStyleElement } from ${JSON.stringify(here("src/styles.ts"))};`,
    replace: [["const style = document.createElement('style');", "const style = createStyleElement();"]],
  },
  {
    module: /monaco-editor\/esm\/vs\/editor\/browser\/view\/viewLayer\.js$/,
    prelude: `import { applyStyles, withoutStyles } from ${JSON.stringify(here("src/styles.ts"))};`,
    replace: [
      [
        "this._domNode.innerHTML = newLinesHTML;",
        "this._domNode.innerHTML = withoutStyles(newLinesHTML); applyStyles(this._domNode);",
      ],
      [
        "lastChild.insertAdjacentHTML('afterend', newLinesHTML);",
        "lastChild.insertAdjacentHTML('afterend', withoutStyles(newLinesHTML)); applyStyles(this._domNode);",
      ],
      [
        "hugeDomNode.innerHTML = invalidLinesHTML;",
        "hugeDomNode.innerHTML = withoutStyles(invalidLinesHTML); applyStyles(hugeDomNode);",
      ],
    ],
  },
  {
    module: /react-style-singleton\/dist\/es2015\/singleton\.js$/,
    prelude: `import { createStyleElement } from ${JSON.stringify(here("src/styles.ts"))};`,
    replace: [["var tag = document.createElement('style');", "var tag = createStyleElement();"]],
  },
  {
    module: /@graphiql\/react\/dist\/utility\/jsonc\.js$/,
    prelude: `import { formatJSONC } from ${JSON.stringify(here("src/jsonc.ts"))};`,
    replace: [[/async function formatJSONC\(content\) \{[\s\S]*?\n\}\n/, ""]],
  },
];
const patched = new Set();
const patching = {
  name: "patching",
  setup({ onLoad, onResolve }) {
    for (const patch of patches) {
      onLoad({ filter: patch.module }, async ({ path }) => {
        let contents = await readFile(path, "utf8");
        for (const [from, to] of patch.replace) {
          const changed = contents.replace(from, () => to);
          if (changed === contents) throw new Error(`${path} has changed: ${from} is not in it`);
          contents = changed;
        }
        patched.add(patch);
        return { contents: `${patch.prelude}\n${contents}`, loader: "js" };
      });
    }
    // One editor, ours.
    onResolve({ filter: /^monaco-graphql\/esm\/monaco-editor\.js$|^\.\/monaco-editor$/ }, ({ path, importer }) =>
      path.startsWith("monaco-graphql") || importer.includes("monaco-graphql")
        ? { path: here("src/monaco.ts") }
        : undefined,
    );
  },
};

// ---- the bundle

const { outputFiles, metafile } = await build({
  absWorkingDir: here("."),
  entryPoints: {
    playground: "src/main.tsx",
    "editor.worker": "monaco-editor/esm/vs/editor/editor.worker.js",
    "json.worker": "monaco-editor/esm/vs/language/json/json.worker.js",
    "graphql.worker": "monaco-graphql/esm/graphql.worker.js",
  },
  outdir: target,
  bundle: true,
  minify: true,
  splitting: true,
  format: "esm",
  target: "es2022",
  jsx: "automatic",
  write: false,
  metafile: true,
  legalComments: "none",
  logLevel: "warning",
  loader: { ".ttf": "file", ".graphql": "text" },
  define: { "process.env.NODE_ENV": '"production"' },
  alias: {
    "@mallbots/client": here("../../clients/typescript/src/client.ts"),
    "graphql-ws": here("node_modules/graphql-ws/dist/client.js"),
  },
  plugins: [patching],
});
for (const patch of patches) {
  if (!patched.has(patch)) throw new Error(`${patch.module} is not in the bundle any more`);
}

const files = new Map();
for (const { path, contents } of outputFiles) {
  const name = basename(path);
  // All styles are in one file; those of parts that load later are copies.
  if (name.endsWith(".css") && name !== "playground.css") continue;
  files.set(name, contents);
}
await pack({
  name: "playground",
  folder: here("./"),
  target,
  files,
  metafile,
  gzipSync,
  // Packages of GraphiQL come without it.
  lackLicenses: true,
});
