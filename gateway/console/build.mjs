// Bundles the console into ../assets/console: everything it needs, so that it
// works without a network. The same sources give the same bytes.
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { gzipSync } from "fflate";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const target = here("../assets/console/");

/** What may come over the wire, compressed. */
const MOST = 200 * 1024;

const { outputFiles, metafile } = await build({
  absWorkingDir: here("."),
  entryPoints: { console: "src/main.tsx", style: "src/console.css" },
  outdir: target,
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  jsx: "automatic",
  jsxImportSource: "preact",
  write: false,
  metafile: true,
  legalComments: "none",
  logLevel: "warning",
  define: { "process.env.NODE_ENV": '"production"' },
  alias: {
    "@mallbots/client": here("../../clients/typescript/src/client.ts"),
    "graphql-ws": here("node_modules/graphql-ws/dist/client.js"),
  },
});

const files = new Map();
for (const { path, contents } of outputFiles) files.set(basename(path), contents);
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
  `// Written by gateway/console/build.mjs; do not edit.\n[\n${table.join("")}]\n`,
);
console.log(`${names.length} files, ${kilobytes(plain)}, compressed ${kilobytes(packed)}`);
if (packed > MOST) throw new Error(`the console is more than ${kilobytes(MOST)}`);

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
    const text = await readFile(here(`node_modules/${name}/LICENSE`), "utf8").catch(() =>
      readFile(here(`node_modules/${name}/LICENSE.md`), "utf8"),
    );
    texts.push(`${name} ${version} (${license})\n\n${text.trim()}\n`);
  }
  return texts.join(`\n${"-".repeat(72)}\n\n`);
}
