// A mall of its own for a test in a browser: the real server, on data of its
// own, which can be killed and started again.
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, open, readFile, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/** The project's folder. */
export const root = fileURLToPath(new URL("../", import.meta.url));
export const binary = process.env.MALLBOTS_BIN ?? join(root, "target/debug/mallbots");

/** How the tests' browser is started: there is no other host than this one. */
export const CHROMIUM = {
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
  ],
};

export class Mall {
  server = null;

  /** Opens one with these settings of its environment. */
  static async open(settings = {}) {
    const mall = new Mall();
    mall.settings = settings;
    mall.data = await mkdtemp(join(tmpdir(), "mallbots-web-"));
    mall.port = await freePort();
    await mall.start();
    return mall;
  }

  get address() {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Starts the server, on the same data and address as before. */
  async start() {
    const environment = Object.entries(process.env).filter(
      ([name]) => !name.startsWith("MALLBOTS_") && name !== "DATABASE_URL",
    );
    const log = await open(join(this.data, "log"), "a");
    this.server = spawn(binary, ["serve", "--listen", `127.0.0.1:${this.port}`, "--data", this.data], {
      stdio: ["ignore", "pipe", log.fd],
      env: { ...Object.fromEntries(environment), ...this.settings },
    });
    const ended = once(this.server, "exit").then(async () => {
      throw new Error(`the mall did not open\n${await readFile(join(this.data, "log"), "utf8")}`);
    });
    // Whoever is killed later has opened before.
    ended.catch(() => {});
    await Promise.race([once(createInterface(this.server.stdout), "line"), ended]);
    await log.close();
  }

  /** A token, as `mallbots token` makes it with the same settings. */
  token(...options) {
    const env = { ...process.env, ...this.settings };
    return execFileSync(binary, ["token", "--data", this.data, ...options], { env, encoding: "utf8" }).trim();
  }

  /** Ends the server: as a crash would, if nothing else is said. */
  async kill(signal = "SIGKILL") {
    const ended = once(this.server, "exit");
    this.server.kill(signal);
    await ended;
  }

  async close() {
    await this.kill();
    await rm(this.data, { recursive: true });
  }

  /** Asks, and fails if the mall refuses. */
  async ask(query, variables = {}) {
    const response = await fetch(`${this.address}/graphql`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ query, variables }),
    });
    const { data, errors } = await response.json();
    if (errors) throw new Error(JSON.stringify(errors));
    return data;
  }
}

async function freePort() {
  const listener = createServer().listen(0, "127.0.0.1");
  await once(listener, "listening");
  const { port } = listener.address();
  listener.close();
  await once(listener, "close");
  return port;
}
