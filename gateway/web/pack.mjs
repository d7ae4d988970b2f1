// Packs a bundle for the binary: what esbuild made, the page, its icon and the
// licenses of all that is in it. The same sources give the same bytes.
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";

/**
 * Writes a bundle's files, each compressed, and the table of them that the
 * binary includes.
 *
 * `folder` has the page, its icon and the packages; `files` has what esbuild
 * made, by name, and `metafile` what that is made of. `gzipSync` is the
 * folder's own `fflate`, whose bytes do not depend on Node's version. A package
 * without the text of its license is refused, unless some `lackLicenses`: of
 * those only the license's name is told. Returns how many bytes there are
 * compressed.
 */
export async function pack({ name, folder, target, files, metafile, gzipSync, lackLicenses = false }) {
  for (const page of ["index.html", "icon.svg"]) {
    files.set(page, new Uint8Array(await readFile(`${folder}src/${page}`)));
  }
  files.set("licenses.txt", new TextEncoder().encode(await licenses(folder, metafile, lackLicenses)));

  await rm(target, { recursive: true, force: true });
  await mkdir(target, { recursive: true });
  const names = [...files.keys()].sort();
  let plain = 0;
  let packed = 0;
  for (const file of names) {
    const zipped = gzipSync(files.get(file), { level: 9, mtime: 0 });
    plain += files.get(file).length;
    packed += zipped.length;
    await writeFile(`${target}${file}.gz`, zipped);
  }
  const table = names.map((file) => `    (${JSON.stringify(file)}, include_bytes!("${file}.gz")),\n`);
  await writeFile(
    `${target}files.rs`,
    `// Written by gateway/${name}/build.mjs; do not edit.\n[\n${table.join("")}]\n`,
  );
  console.log(`${names.length} files, ${kilobytes(plain)}, compressed ${kilobytes(packed)}`);
  return packed;
}

/** So many bytes, for people. */
export function kilobytes(bytes) {
  return `${Math.round(bytes / 1024)} KiB`;
}

/** The licenses of all that is in a bundle. */
async function licenses(folder, { inputs }, lackLicenses) {
  const packages = new Set();
  for (const input of Object.keys(inputs)) {
    const [, name] = /.*node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(input) ?? [];
    if (name) packages.add(name);
  }
  const texts = [];
  for (const name of [...packages].sort()) {
    const of = `${folder}node_modules/${name}/`;
    const { version, license } = JSON.parse(await readFile(`${of}package.json`, "utf8"));
    const text = await licenseIn(of);
    if (text === null && !lackLicenses) throw new Error(`there is no license in ${of}`);
    texts.push(`${name} ${version} (${license})\n\n${text === null ? "" : `${text.trim()}\n`}`);
  }
  return texts.join(`\n${"-".repeat(72)}\n\n`);
}

/** The text of a package's license, null if it has none. */
async function licenseIn(folder) {
  for (const file of ["LICENSE", "LICENSE.md", "LICENSE.txt", "license", "license.md", "LICENCE"]) {
    const text = await readFile(folder + file, "utf8").catch(() => null);
    if (text !== null) return text;
  }
  return null;
}
