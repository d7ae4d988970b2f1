// A mall for a file of tests: the real server, on data of its own.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, open, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../../", import.meta.url));
const binary = process.env.MALLBOTS_BIN ?? join(root, "target/debug/mallbots");

/** Opens a mall, with settings from the environment. */
export async function openMall(settings = {}) {
  const data = await mkdtemp(join(tmpdir(), "mallbots-clients-"));
  const environment = Object.entries(process.env).filter(
    ([name]) => !name.startsWith("MALLBOTS_") && !/^(DATABASE|NATS)_/.test(name),
  );
  const log = await open(join(data, "log"), "a");
  const server = spawn(binary, ["serve", "--listen", "127.0.0.1:0", "--data", data], {
    stdio: ["ignore", "pipe", log.fd],
    env: { ...Object.fromEntries(environment), ...settings },
  });
  const ended = once(server, "exit").then(async () => {
    throw new Error(`the mall did not open\n${await readFile(join(data, "log"), "utf8")}`);
  });
  // Whoever is stopped later has opened before.
  ended.catch(() => {});
  const [line] = await Promise.race([once(createInterface(server.stdout), "line"), ended]);
  await log.close();
  const url = line.match(/http:\S+/)[0];

  const mall = {
    url,
    socketUrl: url.replace("http:", "ws:"),
    /** Whose token everything is asked with, where one is needed. */
    token: undefined,
    /** Asks for something and insists on an answer without errors. */
    async ask(query, variables = {}, token = mall.token) {
      const authorization = token && { authorization: `Bearer ${token}` };
      const response = await fetch(url, {
        method: "POST",
        headers: { "content-type": "application/json", ...authorization },
        body: JSON.stringify({ query, variables }),
      });
      const { data, errors } = await response.json();
      if (errors) throw new Error(JSON.stringify(errors));
      return data;
    },
    /** Opens a store with one product. */
    async store(name) {
      const { createStore } = await mall.ask(
        `mutation ($name: String!) {
           createStore(input: { name: $name, location: "1" }) { store { id } } }`,
        { name },
      );
      const store = createStore.store.id;
      return { store, product: await mall.product(store, "Owl") };
    },
    async product(store, name) {
      const { addProduct } = await mall.ask(
        `mutation ($store: ID!, $name: String!) {
           addProduct(input: { storeId: $store, name: $name, sku: $name, price: "5.00" }) {
             product { id } } }`,
        { store, name },
      );
      return addProduct.product.id;
    },
    /** Has somebody buy something, and tells the order's id. */
    async purchase() {
      const { store, product } = await mall.store("Statler Toys");
      await mall.ask(
        "mutation ($id: ID!) { enableStoreParticipation(input: { id: $id }) { position } }",
        { id: store },
      );
      const { registerCustomer } = await mall.ask(
        `mutation { registerCustomer(input: { name: "Ada", smsNumber: "+15550100" }) {
           customer { id } } }`,
      );
      const customer = registerCustomer.customer.id;
      const made = await mall.ask(
        `mutation ($customer: ID!) {
           startBasket(input: { customerId: $customer }) { basket { id } }
           authorizePayment(input: { customerId: $customer, amount: "5.00" }) { payment { id } } }`,
        { customer },
      );
      const basket = made.startBasket.basket.id;
      const payment = made.authorizePayment.payment.id;
      const { checkoutBasket } = await mall.ask(
        `mutation ($basket: ID!, $product: ID!, $payment: ID!) {
           addBasketItem(input: { id: $basket, productId: $product, quantity: 1 }) { position }
           checkoutBasket(input: { id: $basket, paymentId: $payment }) { orderId } }`,
        { basket, product, payment },
      );
      return checkoutBasket.orderId;
    },
    async close() {
      const gone = once(server, "exit");
      server.kill("SIGTERM");
      const [code] = await gone;
      await rm(data, { recursive: true });
      if (code !== 0) throw new Error(`the mall ended with ${code}`);
    },
  };
  return mall;
}

/** Takes so many items of an iterable, and ends it. */
export async function take(count, items) {
  const taken = [];
  for await (const item of items) {
    taken.push(item);
    if (taken.length === count) break;
  }
  return taken;
}
