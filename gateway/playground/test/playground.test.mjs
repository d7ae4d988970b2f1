// The playground in a real browser, on a real mall, without a network.
//
// Pictures of it are left in target/playground, for people to look at.
import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { chromium } from "playwright-core";
import { CHROMIUM, Mall, root } from "../../../testing/mall.mjs";

const pictures = join(root, "target/playground");

// ---- the browser

let mall;
let browser;
let page;
/** What went wrong in the page that nobody asked for. */
let faults;

before(async () => {
  browser = await chromium.launch(CHROMIUM);
  await mkdir(pictures, { recursive: true });
});

after(() => browser.close());

beforeEach(async () => {
  mall = await Mall.open();
  page = await browser.newPage({ viewport: { width: 1440, height: 900 }, colorScheme: "light" });
  faults = [];
  page.on("pageerror", (error) => faults.push(String(error)));
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) faults.push(message.text());
  });
  page.on("request", (request) => {
    const { protocol, host } = new URL(request.url());
    if (protocol !== "data:" && host !== `127.0.0.1:${mall.port}`) faults.push(`asked ${request.url()}`);
  });
});

afterEach(async () => {
  await page.close();
  await mall.close();
});

const runOf = (name) => page.getByRole("button", { name: `Run: ${name}` });
const step = (name) => page.getByRole("listitem").filter({ has: runOf(name) });
const done = (name) => page.locator("li.done").filter({ has: runOf(name) });
const item = (text) => page.locator(".live .item").filter({ hasText: text });
const watchOf = (name, status) => page.locator(`.watch.${status}[data-watch="${name}"]`);
const picture = (name) => page.screenshot({ path: join(pictures, `${name}.png`) });

async function openPlayground() {
  await page.goto(`${mall.address}/playground`);
  await page.locator(".purchase .loud:enabled").waitFor();
}

/** Puts an operation into the editor, as if it were typed. */
async function write(operation, variables = "") {
  const texts = { "operation.graphql": operation, "variables.json": variables };
  await page.evaluate((texts) => {
    for (const editor of globalThis.__MONACO.editor.getEditors()) {
      const name = Object.keys(texts).find((name) => editor.getModel()?.uri.path.endsWith(name));
      if (name) editor.setValue(texts[name]);
    }
  }, texts);
  // The editor reads what was written a moment later; its tab then bears the name.
  const [, name] = /^\w+ (\w+)/.exec(operation) ?? [];
  if (name) await page.getByRole("tab", { name, selected: true }).or(page.locator(`[title="${name}"]`)).first().waitFor();
  await page.waitForTimeout(300);
}

async function run(operation, variables) {
  await write(operation, variables);
  await page.locator(".graphiql-execute-button").click();
}

async function answered(text) {
  await page.locator(".graphiql-response .result-window").filter({ hasText: text }).waitFor();
}

// ---- what it does

test("the console leads to the playground", async () => {
  await page.goto(mall.address);
  await page.getByRole("link", { name: "Playground" }).click();
  await page.waitForURL("**/playground");
  await page.locator(".graphiql-query-editor .view-line").first().waitFor();
  assert.deepEqual(faults, []);
});

test("a first visitor finds a purchase that is ready to run", async () => {
  await openPlayground();
  await page.locator(".graphiql-editor-tool .view-line").filter({ hasText: "smsNumber" }).waitFor();
  await picture("first-visit");
  assert.equal(await page.getByRole("listitem").count(), 12);
  assert.deepEqual(faults, []);
});

test("a query and a mutation run", async () => {
  await openPlayground();
  await runOf("Register a customer").click();
  await answered('"Ada"');
  await done("Register a customer").waitFor();
  await run("query Customers { customers { nodes { name smsNumber } } }");
  await answered('"nodes"');
  await answered("+15550100");
  await run("query Wrong($id: ID!) { customer(id: $id) { name } }", '{ "id": "nobody" }');
  await answered("BAD_USER_INPUT");
  assert.deepEqual(faults.filter((fault) => !fault.includes("status of 400")), []);
});

test("the whole purchase runs, and every item of its order is listed with its cursor", async () => {
  await openPlayground();
  await page.getByRole("button", { name: "Run the whole purchase" }).click();
  await done("Check out").waitFor();
  await picture("running");
  await done("Look at the whole").waitFor({ timeout: 60_000 });
  await answered("COMPLETED");
  await item("The order was completed.").waitFor();
  const items = await page.locator(".live .item").evaluateAll((rows) =>
    rows.map((row) => ({
      time: row.querySelector("time").dateTime,
      cursor: row.querySelector(".cursor code")?.title,
    })),
  );
  assert.ok(items.length > 20, `${items.length} items`);
  assert.ok(items.every(({ time, cursor }) => time && cursor));
  assert.equal(new Set(items.map(({ cursor }) => cursor)).size, items.length);
  await page.locator(".live .item").first().click();
  await page.locator(".live .whole pre").waitFor();
  await picture("purchase");
  assert.deepEqual(faults, []);

  await page.emulateMedia({ colorScheme: "dark" });
  await page.reload();
  await page.locator(".purchase .loud:enabled").waitFor();
  await done("Look at the whole").waitFor();
  await runOf("Watch the order").click();
  await item("The order was completed.").waitFor();
  await picture("dark");
  assert.deepEqual(faults, []);
});

test("a subscription goes on when another tab is opened, and across a crash", async () => {
  await openPlayground();
  await run("subscription Bots { botsChanged { id name status } }");
  await watchOf("Bots", "live").waitFor();
  await page.getByRole("button", { name: "New tab" }).click();
  const register = (name) => run(`mutation Register { registerBot(input: { name: "${name}" }) { bot { name } } }`);
  await register("Robby");
  await item("Robby").waitFor();
  assert.deepEqual(faults, []);

  await mall.kill();
  await page.getByRole("status").filter({ hasText: "connecting again" }).waitFor();
  await mall.start();
  await page.getByRole("status").filter({ hasText: "connected" }).waitFor();
  await register("Marvin");
  await item("Marvin").waitFor();
  await picture("live");

  await watchOf("Bots", "live").getByRole("button", { name: "Stop" }).click();
  await watchOf("Bots", "stopped").getByRole("button", { name: "Go on" }).click();
  await watchOf("Bots", "live").waitFor();
});

test("the editor's stop button ends the subscription", async () => {
  await openPlayground();
  await run("subscription Bots { botsChanged { id } }");
  await watchOf("Bots", "live").waitFor();
  await page.locator(".graphiql-execute-button").click();
  await watchOf("Bots", "stopped").waitFor();
  assert.deepEqual(faults, []);
});

test("the editor knows the schema", async () => {
  await openPlayground();
  await write("query Typo { ordres { nodes { id } } }");
  await page.locator(".graphiql-query-editor .squiggly-error").first().waitFor();

  await write("{ or }");
  await page.locator(".graphiql-query-editor .view-line").first().click();
  await page.keyboard.press("Control+Home");
  for (let steps = 0; steps < 4; steps++) await page.keyboard.press("ArrowRight");
  await page.keyboard.press("Control+Space");
  await page.locator(".suggest-widget").filter({ hasText: "orderStatusCounts" }).waitFor();
  await picture("completion");
  await page.keyboard.press("Escape");

  await page.getByRole("button", { name: "Show Documentation Explorer" }).click();
  await page.getByRole("link", { name: "Subscription" }).click();
  await page.getByText("Everything that happens to an order").first().waitFor();
  await picture("documentation");
  assert.deepEqual(faults, []);
});

test("a token is offered for each role, and requests and connections carry the one that was chosen", async () => {
  const carried = [];
  page.on("request", (request) => {
    if (request.url().endsWith("/graphql")) carried.push(request.headers().authorization);
  });
  page.on("websocket", (socket) =>
    socket.on("framesent", ({ payload }) => {
      const { type, payload: sent } = JSON.parse(payload);
      if (type === "connection_init") carried.push(sent?.authorization);
    }),
  );
  await openPlayground();
  for (const role of ["admin", "depot"]) {
    await page.getByRole("group", { name: "Token" }).getByRole("button", { name: role, exact: true }).waitFor();
  }
  await page.getByRole("button", { name: "admin", exact: true }).click();
  await picture("token");
  await page.reload();
  await page.locator(".purchase .loud:enabled").waitFor();
  const { admin } = await page.evaluate(() => JSON.parse(document.documentElement.dataset.tokens));
  carried.length = 0;
  await runOf("Register a customer").click();
  await done("Register a customer").waitFor();
  await run("subscription Bots { botsChanged { id } }");
  await watchOf("Bots", "live").waitFor();
  await page.getByRole("status").filter({ hasText: "connected" }).waitFor();
  await page.getByRole("button", { name: "no token" }).click();
  await watchOf("Bots", "stopped").getByRole("button", { name: "Go on" }).click();
  await page.getByRole("status").filter({ hasText: "connected" }).waitFor();
  assert.deepEqual(carried, [`Bearer ${admin}`, `Bearer ${admin}`, undefined]);
  assert.deepEqual(faults, []);
});
