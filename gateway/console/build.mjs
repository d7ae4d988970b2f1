// Bundles the console into ../assets/console: everything it needs, so that it
// works without a network. The same sources give the same bytes.
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { gzipSync } from "fflate";
import { kilobytes, pack } from "../web/pack.mjs";

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
const packed = await pack({ name: "console", folder: here("./"), target, files, metafile, gzipSync });
if (packed > MOST) throw new Error(`the console is more than ${kilobytes(MOST)}`);
