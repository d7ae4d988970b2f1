/** A mall of its own for each test: the real server, on data of its own. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, openSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { randomBytes } from "node:crypto";

const root = fileURLToPath(new URL("../../../../", import.meta.url));
const binary = process.env["MALLBOTS_BIN"] ?? join(root, "target/debug/mallbots");

export class Mall {
  private server: ChildProcess | null = null;

  private constructor(
    private readonly data: string,
    readonly port: number,
  ) {}

  static async open(): Promise<Mall> {
    if (!existsSync(binary)) throw new Error(`there is no ${binary}: cargo build`);
    const mall = new Mall(await mkdtemp(join(tmpdir(), "mallbots-client-")), await freePort());
    await mall.start();
    return mall;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}/graphql`;
  }

  /** Starts the server, on the same data and address as before. */
  async start(): Promise<void> {
    const environment = Object.entries(process.env).filter(
      ([name]) => !name.startsWith("MALLBOTS_") && name !== "DATABASE_URL",
    );
    const log = openSync(join(this.data, "log"), "a");
    const server = spawn(
      binary,
      ["serve", "--listen", `127.0.0.1:${this.port}`, "--data", this.data],
      { stdio: ["ignore", "pipe", log], env: Object.fromEntries(environment) },
    );
    this.server = server;
    const ended = once(server, "exit").then(() => {
      throw new Error(`the mall did not open\n${readFileSync(join(this.data, "log"), "utf8")}`);
    });
    await Promise.race([once(createInterface(server.stdout!), "line"), ended]);
    ended.catch(() => {});
  }

  /** Ends the server as a crash would. */
  async kill(): Promise<void> {
    const server = this.server;
    this.server = null;
    if (!server) return;
    const ended = once(server, "exit");
    server.kill("SIGKILL");
    await ended;
  }

  /** Tells the server to stop and waits until it has. */
  async stop(): Promise<void> {
    const server = this.server;
    this.server = null;
    if (!server) return;
    const ended = once(server, "exit");
    server.kill("SIGTERM");
    await ended;
  }

  async close(): Promise<void> {
    await this.kill();
    await rm(this.data, { recursive: true });
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

/** A new id: a TypeID, which is a prefix and a UUID of version 7 in base 32. */
export function ids(): (prefix: string) => string {
  const bytes = randomBytes(16);
  bytes.writeUIntBE(Date.now(), 0, 6);
  bytes[6] = (bytes[6]! & 0x0f) | 0x70;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  let number = BigInt(`0x${bytes.toString("hex")}`);
  let text = "";
  for (let digit = 0; digit < 26; digit++) {
    text = "0123456789abcdefghjkmnpqrstvwxyz"[Number(number & 31n)] + text;
    number >>= 5n;
  }
  return (prefix) => `${prefix}_${text}`;
}
