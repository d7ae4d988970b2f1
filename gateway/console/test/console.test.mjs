// The console in a real browser, on a real mall, without a network.
//
// Pictures of it are left in target/console, for people to look at.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { chromium } from "playwright-core";
import { CHROMIUM, Mall, root } from "../../../testing/mall.mjs";

const pictures = join(root, "target/console");
const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

let mall;
let browser;
/** What went wrong in a page that nobody asked for. */
let faults;
let contexts;

before(async () => {
  browser = await chromium.launch(CHROMIUM);
  await mkdir(pictures, { recursive: true });
});
after(() => browser.close());
beforeEach(async () => {
  faults = [];
  contexts = [];
  mall = await Mall.open();
});
afterEach(async () => {
  for (const context of contexts) await context.close();
  await mall.close();
});

/** A browser of its own: with its own storage and its own connection. */
async function visitor(options = {}) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, colorScheme: "light", ...options });
  contexts.push(context);
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  page.on("pageerror", (error) => faults.push(String(error)));
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) faults.push(message.text());
  });
  page.on("request", (request) => {
    const { protocol, host } = new URL(request.url());
    if (protocol !== "data:" && host !== `127.0.0.1:${mall.port}`) faults.push(`asked ${request.url()}`);
  });
  return page;
}

const connection = (page, text) => page.getByRole("status").filter({ hasText: text });
const stands = (page, text) => page.locator(".ribbon [aria-current=step]").filter({ hasText: text });
const button = (page, name) => page.getByRole("button", { name, exact: typeof name === "string" });
const step = (page, text) => page.locator(".saga ol li").filter({ hasText: text });

// ---- what is in the mall

function newId(prefix) {
  const bytes = randomBytes(16);
  bytes.writeUIntBE(Date.now(), 0, 6);
  bytes[6] = (bytes[6] & 0x0f) | 0x70;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  let number = BigInt(`0x${bytes.toString("hex")}`);
  let text = "";
  for (let digit = 0; digit < 26; digit++) {
    text = "0123456789abcdefghjkmnpqrstvwxyz"[Number(number & 31n)] + text;
    number >>= 5n;
  }
  return `${prefix}_${text}`;
}

const change = (field, input) =>
  mall.ask(`mutation($input: ${field[0].toUpperCase()}${field.slice(1)}Input!) { ${field}(input: $input) { position } }`, {
    input,
  });

/** A store with two products, an idle bot and a customer. */
async function furnish() {
  const ids = { store: newId("store"), book: newId("product"), lamp: newId("product"), bot: newId("bot") };
  await change("createStore", { id: ids.store, name: "Waldorf Books", location: "Level 1" });
  await change("enableStoreParticipation", { id: ids.store });
  await change("addProduct", { id: ids.book, storeId: ids.store, name: "Robot stories", sku: "B-1", price: "12.50" });
  await change("addProduct", { id: ids.lamp, storeId: ids.store, name: "Reading lamp", sku: "L-1", price: "40.00" });
  await change("registerBot", { id: ids.bot, name: "Bolt" });
  await change("bringBotOnline", { id: ids.bot });
  ids.customer = newId("customer");
  await change("registerCustomer", { id: ids.customer, name: "Ada Lovelace", smsNumber: "+15550100" });
  return ids;
}

/** An order of a lamp, paid with so much. */
async function order(ids, amount) {
  const [basket, payment] = [newId("basket"), newId("payment")];
  await change("startBasket", { id: basket, customerId: ids.customer });
  await change("addBasketItem", { id: basket, productId: ids.lamp, quantity: 1 });
  await change("authorizePayment", { id: payment, customerId: ids.customer, amount });
  await change("checkoutBasket", { id: basket, paymentId: payment });
  return basket.replace("basket", "order");
}

async function until(what, look) {
  for (let tries = 0; tries < 400; tries++) {
    const found = await look();
    if (found) return found;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`waited in vain for ${what}`);
}

const reaches = (id, status) =>
  until(`${id} to be ${status}`, async () => {
    const { order } = await mall.ask("query($id: ID!) { order(id: $id) { status } }", { id }).catch(() => ({}));
    return order?.status === status;
  });

// ---- what it does

test("a whole purchase, seen from the kiosk and from the depot, across a crash", async () => {
  await furnish();
  const [customer, depot] = [await visitor(), await visitor()];
  await depot.goto(`${mall.address}/depot`);
  await depot.getByText("Bolt").waitFor();
  await customer.goto(`${mall.address}/kiosk`);
  await customer.getByLabel("Name", { exact: true }).fill("Grace");
  await button(customer, "Register").click();
  await customer.getByRole("heading", { name: "Hello, Grace" }).waitFor();
  await button(customer, "Add Robot stories to the basket").click();
  await customer.getByText("1 × 12.50").waitFor();
  await button(customer, "Add Robot stories to the basket").click();
  await customer.getByText("2 × 12.50").waitFor();
  await button(customer, "Add Reading lamp to the basket").click();
  await customer.getByText("3 pieces").waitFor();
  await customer.getByText("$65.00").waitFor();
  await button(customer, "Pay and check out").click();
  await stands(customer, "Accepted").waitFor();
  await step(customer, "Approve order: succeeded").waitFor();
  const card = depot.getByRole("region", { name: "Waiting" }).getByRole("button");
  await card.waitFor();
  assert.deepEqual(faults, []);

  // Neither page is loaded again by what follows.
  for (const page of [customer, depot]) await page.evaluate(() => (globalThis.wasHereBefore = true));
  await mall.kill();
  await connection(customer, "Connection lost").waitFor();
  await connection(depot, "Connection lost").waitFor();
  await customer.screenshot({ path: join(pictures, "lost.png") });
  await mall.start();
  await connection(customer, "Live").waitFor();
  await connection(depot, "Live").waitFor();

  await card.click();
  await button(depot, "Assign").click();
  await button(depot, "Start shopping").click();
  await stands(customer, "Collected").waitFor();
  await button(depot, "Pick Robot stories").click();
  await customer.getByRole("row", { name: /Robot stories/ }).getByText("2 / 2").waitFor();
  await depot.screenshot({ path: join(pictures, "picking.png") });
  await button(depot, "Pick Reading lamp").click();
  await button(depot, "Complete").click();
  await stands(customer, "At the depot").waitFor();
  await button(customer, "Pay $65.00").click();
  await stands(customer, "Completed").waitFor();
  await customer.getByText("The order was completed.").waitFor();
  for (const page of [customer, depot]) assert.ok(await page.evaluate(() => globalThis.wasHereBefore));

  // Nothing was missed and nothing came twice.
  const id = new URL(customer.url()).searchParams.get("order");
  const read = async () => {
    const { order } = await mall.ask("query($id: ID!) { order(id: $id) { timeline(first: 100) { nodes { title } } } }", { id });
    return order.timeline.nodes.map(({ title }) => title).reverse();
  };
  const shown = () =>
    customer.locator(".timeline li .text").evaluateAll((items) => items.map((item) => item.firstChild.textContent));
  await until("the timeline to be whole", async () => (await read()).length === (await shown()).length);
  assert.deepEqual(await shown(), await read());
});

test("an order that is turned down is drawn walking back", async () => {
  const ids = await furnish();
  const id = await order(ids, "1.00");
  const page = await visitor();
  await page.goto(`${mall.address}/orders/${id}`);
  await stands(page, "Turned down").waitFor();
  await page.getByText("Turned down: payment too small.").waitFor();
  for (const told of [
    "Place order: compensated",
    "Authorize customer: succeeded",
    "Create shopping list: compensated",
    "Confirm payment: refused",
    "Payment too small",
    "Approve order: skipped",
  ]) {
    await step(page, told).first().waitFor();
  }
  const undone = await page.locator(".saga .back text").allTextContents();
  assert.deepEqual(undone, ["Cancel list", "Reject order"]);
  await page.screenshot({ path: join(pictures, "refused.png"), fullPage: true });
  assert.deepEqual(faults, []);
});

/** Puts messages into the ledger that no context can read, behind a real one. */
async function poison(count) {
  await mall.kill("SIGTERM");
  const script = `
import sqlite3, sys, uuid
db = sqlite3.connect(sys.argv[1])
for _ in range(int(sys.argv[2])):
    db.execute("UPDATE ledger_head SET position = position + 1")
    db.execute("""INSERT INTO messages (position, kind, stream, version, name, schema_version, partition,
        message_id, payload, metadata, recorded_at)
        SELECT (SELECT position FROM ledger_head), kind, stream, version, name, schema_version, partition,
        ?, '{"broken":true}', metadata, recorded_at
        FROM messages WHERE name = 'customers.AuthorizeCustomer' ORDER BY position LIMIT 1""", [str(uuid.uuid4())])
db.commit()
`;
  execFileSync("python3", ["-c", script, join(mall.data, "ledger.db"), String(count)]);
  await mall.start();
}

test("a poisoned message is seen, mended and retried, another thrown away", async () => {
  const ids = await furnish();
  const id = await order(ids, "40.00");
  await reaches(id, "APPROVED");
  const { ledger } = await mall.ask("{ ledger(first: 100) { nodes { name kind payload } } }");
  const { payload } = ledger.nodes.find(({ name, kind }) => kind === "COMMAND" && name === "customers.AuthorizeCustomer");
  await poison(2);

  const page = await visitor();
  await page.goto(`${mall.address}/operations`);
  const letters = page.getByRole("region", { name: "Dead letters" });
  const rows = letters.getByRole("row").filter({ hasText: "customers.AuthorizeCustomer" });
  await letters.getByText("2 parked").waitFor();
  await page.screenshot({ path: join(pictures, "dead-letters.png"), fullPage: true });
  await rows.first().getByRole("button").click();
  const dialog = page.getByRole("dialog");
  await dialog.getByText("1 later message under this key").waitFor();
  const content = dialog.getByLabel("Content");
  assert.deepEqual(JSON.parse(await content.inputValue()), { broken: true });
  await content.fill("[1]");
  await dialog.getByText("A message's content is a JSON object.").waitFor();
  assert.ok(await button(dialog, "Mend and retry").isDisabled());
  await content.fill(payload);
  await page.screenshot({ path: join(pictures, "mending.png") });
  await button(dialog, "Mend and retry").click();
  await letters.getByText("1 parked").waitFor();
  await rows.first().getByRole("button").click();
  await button(dialog, "Discard").click();
  await button(dialog, "Yes, discard it").click();
  await letters.getByText("Nothing is parked.").waitFor();
  assert.deepEqual(faults, []);
});

test("a rebuild is asked for and watched", async () => {
  const ids = await furnish();
  await reaches(await order(ids, "40.00"), "APPROVED");
  const page = await visitor();
  await page.goto(`${mall.address}/operations`);
  const models = page.getByRole("region", { name: "Read models" });
  await button(models, "Rebuild orders").waitFor();
  // Progress may be gone before anybody looks.
  await page.evaluate(() => {
    new MutationObserver(() => {
      if (document.querySelector('[role=progressbar][aria-label="Rebuild of orders"]')) globalThis.progressWasShown = true;
    }).observe(document.body, { subtree: true, childList: true });
  });
  await button(models, "Rebuild orders").click();
  await models.getByRole("row", { name: /^Orders/ }).getByText("done").waitFor();
  assert.ok(await page.evaluate(() => globalThis.progressWasShown));
  assert.equal(await models.getByText("done").count(), 1);
  await button(models, "Rebuild all").click();
  await until("all to be rebuilt", async () => (await models.getByText("done").count()) > 10);
  assert.deepEqual(faults, []);
});

test("the store desk opens stores, changes prices and takes products off sale", async () => {
  const page = await visitor();
  await page.goto(`${mall.address}/stores`);
  await page.getByText("No stores yet.").waitFor();
  await button(page, "Open a store").click();
  await page.getByLabel("Name", { exact: true }).fill("Kites");
  await page.getByLabel("Where in the mall").fill("Roof");
  await button(page, "Open it").click();
  await page.getByRole("heading", { name: "Kites" }).waitFor();
  await page.getByText("Nothing on the shelves.").waitFor();
  await button(page, "Add a product").click();
  await page.getByLabel("Name", { exact: true }).fill("Box kite");
  await page.getByLabel("SKU").fill("K-1");
  await page.getByLabel("Price").fill("20");
  await button(page, "Add it").click();
  await page.getByRole("cell", { name: "$20.00" }).waitFor();
  await button(page, "Change Box kite").click();
  await page.getByLabel("Price").fill("17.50");
  await button(page, "Save").click();
  await page.getByRole("cell", { name: "$17.50" }).waitFor();
  await page.getByRole("switch", { name: "takes part" }).click();
  await page.getByText("0 of 1 take part").waitFor();
  await button(page, "Change Box kite").click();
  await button(page, "Take it off sale").click();
  await page.getByText("Nothing on the shelves.").waitFor();
  assert.deepEqual(faults, []);
});

test("orders are found, counted, and followed live", async () => {
  const ids = await furnish();
  const approved = await order(ids, "40.00");
  const rejected = await order(ids, "1.00");
  await reaches(approved, "APPROVED");
  await reaches(rejected, "REJECTED");
  const page = await visitor();
  await page.goto(`${mall.address}/orders`);
  const link = (id) => page.locator(`a[href="/orders/${id}"]`);
  await link(approved).waitFor();
  await link(rejected).waitFor();
  await button(page, "1 Rejected").click();
  await link(approved).waitFor({ state: "detached" });
  await link(rejected).waitFor();
  assert.match(page.url(), /status=REJECTED/);
  await button(page, "Clear").click();
  await link(approved).waitFor();
  await page.getByLabel("Find in names of customers, products and stores").fill("nobody of this name");
  await page.getByText("No order fits.").waitFor();
  await page.getByLabel("Find in names of customers, products and stores").fill("lovelace");
  await link(approved).waitFor();
  await button(page, "Filters").click();
  await page.getByLabel("Store", { exact: true }).selectOption({ label: "Waldorf Books" });
  await page.getByLabel("Total at least").fill("100");
  await page.getByText("No order fits.").waitFor();
  await page.getByLabel("Total at least").fill("39.99");
  await link(approved).waitFor();

  // A new one comes by itself, and so does what becomes of the old ones.
  const third = await order(ids, "40.00");
  await link(third).waitFor();
  await change("cancelOrder", { id: approved });
  await page.getByRole("row").filter({ has: link(approved) }).getByText("Canceled").waitFor();
  await button(page, "1 Canceled").waitFor();
  assert.deepEqual(faults, []);
});

test("history leads from event to cause and effect, and through time", async () => {
  const ids = await furnish();
  const id = await order(ids, "40.00");
  await reaches(id, "APPROVED");
  const page = await visitor();
  await page.goto(`${mall.address}/events`);
  await page.getByLabel("Id of anything").fill(id);
  await button(page, "Show its history").click();
  await page.getByRole("link", { name: /OrderCreated/ }).first().click();
  const chain = page.locator(".chain");
  await chain.getByRole("link", { name: "baskets.BasketCheckedOut" }).waitFor();
  await page.getByRole("region", { name: "The message's content" }).filter({ hasText: ids.customer }).waitFor();
  await chain.getByRole("link", { name: "customers.AuthorizeCustomer" }).click();
  await page.waitForURL(/customer_/);
  await page.locator(".panel").getByText("Command", { exact: true }).waitFor();
  await chain.getByRole("link", { name: "customers.CustomerAuthorized" }).waitFor();
  await page.goBack();

  const travel = page.getByRole("region", { name: "As it was" });
  await travel.getByText("Approved").waitFor();
  await travel.getByRole("slider").fill("0");
  await travel.getByText("Pending").waitFor();
  await button(travel, "Next event →").click();
  await travel.getByText("Approved").waitFor();
  assert.deepEqual(faults, []);
});

test("a token says who the visitor is, and one that is no good is told of", async () => {
  await mall.close();
  mall = await Mall.open({
    MALLBOTS_AUTH_SECRET: "a secret of forty characters, or longer!",
    MALLBOTS_AUTH_ISSUER: "tests",
    MALLBOTS_AUTH_AUDIENCE: "mallbots",
  });
  const admin = mall.token("--role", "admin");
  const depot = mall.token("--role", "depot");
  const page = await visitor();
  // Refused requests are told by the browser too.
  const refused = () => faults.splice(0).filter((fault) => !/40[13]|4401|4403|WebSocket/.test(fault));
  const enter = async (name, token) => {
    await button(page, name).click();
    await page.getByRole("dialog", { name: "Who are you?" }).getByLabel("Token").fill(token);
    await button(page, "Use it").click();
  };
  await page.goto(`${mall.address}/operations`);
  const problem = page.getByRole("alert");
  await problem.filter({ hasText: "token" }).first().waitFor();
  await page.screenshot({ path: join(pictures, "token-missing.png") });

  await enter("Sign in", "not.a.token");
  await button(page, "You are signed in").waitFor();
  await problem.filter({ hasText: "token" }).first().waitFor();
  await page.screenshot({ path: join(pictures, "token-wrong.png") });
  assert.deepEqual(refused(), []);

  // Who works at the depot sees the board, and no more of the machinery.
  await enter("You are signed in", depot);
  await problem.filter({ hasText: "is for admin only; the token has depot" }).first().waitFor();
  await page.screenshot({ path: join(pictures, "token-depot.png") });
  await page.goto(`${mall.address}/depot`);
  await page.getByRole("heading", { name: "Depot" }).waitFor();
  await button(page, "Add a bot").waitFor();
  await connection(page, "Live").waitFor();
  assert.deepEqual(await problem.allTextContents(), []);

  await enter("You are signed in", admin);
  await page.goto(`${mall.address}/operations`);
  await page.getByText("Nothing is parked.").waitFor();
  await connection(page, "Live").waitFor();
  assert.equal(await problem.count(), 0);
  assert.deepEqual(refused(), []);

  // It is kept for the next visit, until it is forgotten.
  await page.reload();
  await page.getByText("Nothing is parked.").waitFor();
  await button(page, "You are signed in").click();
  await button(page, "Forget it").click();
  await button(page, "Sign in").waitFor();
  await problem.filter({ hasText: "token" }).first().waitFor();
});

test("the keyboard is enough, and who listens is told where they are", async () => {
  await furnish();
  const page = await visitor();
  await page.goto(mall.address);
  await connection(page, "Live").waitFor();
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to the page");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Kiosk");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Welcome to the mall" }).waitFor();
  assert.equal(await page.title(), "Kiosk · MallBots");
  assert.equal(await page.evaluate(() => document.activeElement.id), "main");
  assert.deepEqual(faults, []);
});

test("every page is accessible and fits, wide and narrow, light and dark", async () => {
  const ids = await furnish();
  const done = await order(ids, "40.00");
  const rejected = await order(ids, "1.00");
  await reaches(done, "APPROVED");
  await reaches(rejected, "REJECTED");
  await change("assignShoppingList", { id: done.replace("order", "list"), botId: ids.bot });
  await poison(1);
  const pages = {
    mall: ["/", "Moving now"],
    kiosk: ["/kiosk", "Been here before"],
    orders: ["/orders", "Lovelace"],
    order: [`/orders/${done}`, "Create shopping list"],
    rejected: [`/orders/${rejected}`, "Turned down"],
    depot: ["/depot", "Bolt"],
    stores: ["/stores", "Robot stories"],
    operations: ["/operations", "1 parked"],
    events: ["/events", "OrderCreated"],
    history: [`/events/${done}`, "OrderApproved"],
  };
  for (const colorScheme of ["light", "dark"]) {
    for (const [name, viewport] of [
      ["wide", { width: 1440, height: 900 }],
      ["narrow", { width: 390, height: 844 }],
    ]) {
      const page = await visitor({ viewport, colorScheme, reducedMotion: "reduce" });
      for (const [title, [path, text]] of Object.entries(pages)) {
        await page.goto(`${mall.address}${path}`);
        await page.getByText(text).filter({ visible: true }).first().waitFor();
        await connection(page, "Live").waitFor();
        await page.screenshot({ path: join(pictures, `${title}-${name}-${colorScheme}.png`) });
        await page.evaluate(axe);
        const { violations } = await page.evaluate(() => globalThis.axe.run(document));
        const told = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" | ")}`);
        assert.deepEqual(told, [], `${title}, ${name}, ${colorScheme}`);
        const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        assert.ok(over <= 0, `${title} is ${over} pixels wider than a ${name} page`);
      }
    }
  }
  assert.deepEqual(faults, []);
});
