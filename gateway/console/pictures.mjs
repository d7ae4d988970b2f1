// Takes the pictures of the README, of a demonstration that has run for a
// while: npm run pictures
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";
import { binary, CHROMIUM, root } from "../../testing/mall.mjs";

const pictures = join(root, "docs/pictures");
const data = await mkdtemp(join(tmpdir(), "mallbots-pictures-"));
const demo = ["demo", "--listen", "127.0.0.1:0", "--data", data, "--pace", "3", "--seed", "7", "--customers", "24", "--bots", "6"];
const server = spawn(binary, demo, { stdio: ["ignore", "pipe", "ignore"] });
const [line] = await once(createInterface(server.stdout), "line");
const address = /http:\/\/[^/]+/.exec(line)[0];
const browser = await chromium.launch(CHROMIUM);
try {
  await mkdir(pictures, { recursive: true });
  const ask = async (query) => {
    const body = JSON.stringify({ query });
    const answer = await fetch(`${address}/graphql`, { method: "POST", headers: { "content-type": "application/json" }, body });
    return (await answer.json()).data;
  };
  const one = async (status) => {
    for (;;) {
      const { orders } = await ask(`{ orders(first: 1, filter: { statuses: [${status}] }) { nodes { id } } }`);
      if (orders.nodes[0]) return orders.nodes[0].id;
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  };
  const rejected = await one("REJECTED");
  const completed = await one("COMPLETED");
  const shots = [
    ["depot", "/depot", "light", 1_000],
    ["saga", `/orders/${rejected}`, "dark", 1_500],
    ["operations", "/operations", "dark", 20_000],
    ["history", `/events/${completed}`, "light", 1_500],
  ];
  for (const [name, path, colorScheme, wait] of shots) {
    const page = await browser.newPage({ viewport: { width: 1280, height: 760 }, colorScheme });
    await page.goto(`${address}${path}`);
    await page.getByRole("status").filter({ hasText: "Live" }).waitFor();
    // For the charts to have something to show.
    await page.waitForTimeout(wait);
    await page.screenshot({ path: join(pictures, `${name}.png`) });
    await page.close();
  }
} finally {
  await browser.close();
  const ended = once(server, "exit");
  server.kill("SIGTERM");
  await ended;
  await rm(data, { recursive: true });
}
