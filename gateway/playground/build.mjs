// Bundles the playground into ../assets/playground: everything it needs, so
// that it works without a network. The same sources give the same bytes.
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { gzipSync } from "fflate";
import { buildSchema, parse, validate } from "graphql";

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
for (const name of ["index.html", "icon.svg"]) {
  files.set(name, new Uint8Array(await readFile(here(`src/${name}`))));
}
files.set("licenses.txt", new TextEncoder().encode(await licenses(metafile)));

await rm(target, { recursive: true, force: true });
await mkdir(target, { recursive: true });
const names = [...files.keys()].sort();
let plain = 0;
let packed = 0;
for (const name of names) {
  const zipped = gzipSync(files.get(name), { level: 9, mtime: 0 });
  plain += files.get(name).length;
  packed += zipped.length;
  await writeFile(`${target}${name}.gz`, zipped);
}
const table = names.map((name) => `    (${JSON.stringify(name)}, include_bytes!("${name}.gz")),\n`);
await writeFile(
  `${target}files.rs`,
  `// Written by gateway/playground/build.mjs; do not edit.\n[\n${table.join("")}]\n`,
);
console.log(`${names.length} files, ${kilobytes(plain)}, compressed ${kilobytes(packed)}`);

function kilobytes(bytes) {
  return `${Math.round(bytes / 1024)} KiB`;
}

/** The licenses of all that is in the bundle. */
async function licenses({ inputs }) {
  const packages = new Set();
  for (const input of Object.keys(inputs)) {
    const [, name] = /.*node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(input) ?? [];
    if (name) packages.add(name);
  }
  const texts = [];
  for (const name of [...packages].sort()) {
    const { version, license } = JSON.parse(await readFile(here(`node_modules/${name}/package.json`), "utf8"));
    const text = await firstOf(name, ["LICENSE", "LICENSE.md", "LICENSE.txt", "license", "license.md", "LICENCE"]);
    texts.push(`${name} ${version} (${license})\n\n${text}`);
  }
  return texts.join(`\n${"-".repeat(72)}\n\n`);
}

async function firstOf(name, candidates) {
  for (const candidate of candidates) {
    try {
      return (await readFile(here(`node_modules/${name}/${candidate}`), "utf8")).trim() + "\n";
    } catch {
      // The next one.
    }
  }
  return "";
}
