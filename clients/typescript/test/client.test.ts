import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { WebSocket, WebSocketServer } from "ws";
import * as mallbots from "../src/index.js";
import type { Client, ConnectionState, Item, OrderProgressSubscription } from "../src/index.js";
import { Mall, ids } from "./mall.js";

let mall: Mall;
let client: Client;

const connect = (url: string, options: Partial<mallbots.ClientOptions> = {}) =>
  mallbots.createClient({
    url,
    webSocket: WebSocket,
    backoff: { first: 20, most: 200 },
    attempts: 200,
    ...options,
  });

beforeEach(async () => {
  mall = await Mall.open();
  client = connect(mall.url);
});

afterEach(async () => {
  await client.close();
  await mall.close();
});

interface Purchase {
  readonly customer: string;
  readonly store: string;
  readonly product: string;
  readonly order: string;
  readonly list: string;
  readonly invoice: string;
}

async function givenAnOrder(): Promise<Purchase> {
  const [customer, store, product] = [ids()("customer"), ids()("store"), ids()("product")];
  const [basket, payment] = [ids(), ids()("payment")];
  const { request } = client;
  await request(mallbots.RegisterCustomerDocument, { customer, name: "Ada", smsNumber: "+15550100" });
  await request(mallbots.OpenStoreDocument, { store, name: "Waldorf Books", location: "Level 1" });
  await request(mallbots.AddProductDocument, { store, product, name: "Owl", sku: "OWL", price: "20.00" });
  await request(mallbots.FillBasketDocument, { customer, basket: basket("basket"), product, quantity: 2 });
  await request(mallbots.AuthorizePaymentDocument, { customer, payment, amount: "40.00" });
  const bought = await request(mallbots.CheckoutBasketDocument, { basket: basket("basket"), payment });
  assert.equal(bought.checkoutBasket.orderId, basket("order"));
  return { customer, store, product, order: basket("order"), list: basket("list"), invoice: basket("invoice") };
}

/** Asks again until the mall has come so far that it says yes. */
async function eventually<T>(work: () => Promise<T>): Promise<T> {
  for (let tried = 0; ; tried++) {
    try {
      return await work();
    } catch (error) {
      const early = error instanceof mallbots.Refused && ["FAILED_PRECONDITION", "NOT_FOUND"].includes(error.code);
      if (!early || tried === 1000) throw error;
      await sleep(50);
    }
  }
}

async function whenItIsBroughtAndPaid(
  { store, product, list, invoice }: Purchase,
  during = async (work: Promise<unknown>) => void (await work),
): Promise<void> {
  const bot = ids()("bot");
  const { request } = client;
  await during(request(mallbots.RegisterBotDocument, { bot, name: "Robby" }));
  await during(eventually(() => request(mallbots.SendBotDocument, { list, bot })));
  await during(request(mallbots.CollectGoodsDocument, { list, store, product, quantity: 2 }));
  await during(eventually(() => request(mallbots.PayInvoiceDocument, { invoice })));
}

/** What the mall itself has on record of an order, up to its completion. */
async function timeline(order: string): Promise<unknown[]> {
  const query = `query ($order: ID!) {
    order(id: $order) { timeline(first: 100) { nodes { cursor at kind title status } pageInfo { hasNextPage } } }
  }`;
  const { order: found } = await client.request<any>(query, { order });
  assert.equal(found.timeline.pageInfo.hasNextPage, false);
  const nodes: { status: string }[] = found.timeline.nodes;
  return nodes.slice(0, nodes.findIndex(({ status }) => status === "COMPLETED") + 1);
}

const plain = (items: Item<OrderProgressSubscription>[]) =>
  items.map(({ data: { orderProgress } }) => {
    const { sagaStep, ...rest } = orderProgress;
    return rest;
  });

async function follow(feed: mallbots.Subscription<OrderProgressSubscription>) {
  const items: Item<OrderProgressSubscription>[] = [];
  for await (const item of feed) {
    items.push(item);
    if (item.data.orderProgress.status === "COMPLETED") break;
  }
  return items;
}

test("a feed goes on across crashes of the server, without a gap and without a duplicate", async () => {
  const purchase = await givenAnOrder();
  const states: string[] = [];
  client.onState((state) => states.push(state.status));

  const feed = client.subscribe(mallbots.OrderProgressDocument, { order: purchase.order });
  const following = follow(feed);
  // Killed under each mutation, in the middle of the stream.
  const crash = async () => {
    await mall.kill();
    await mall.start();
  };
  await whenItIsBroughtAndPaid(purchase, async (work) => void (await Promise.all([work, crash()])));
  const items = await following;

  assert.ok(states.filter((status) => status === "open").length > 1, states.join(" "));
  assert.ok(states.includes("waiting"), states.join(" "));
  assert.deepEqual(plain(items), await timeline(purchase.order));
  assert.equal(new Set(items.map(({ cursor }) => cursor)).size, items.length);
});

test("a feed goes on across an orderly restart", async () => {
  const purchase = await givenAnOrder();
  const feed = client.subscribe(mallbots.OrderProgressDocument, { order: purchase.order });
  const first = (await feed.next()).value!;
  await mall.stop();
  await sleep(300);
  assert.ok(["waiting", "connecting"].includes(client.state.status), client.state.status);
  await mall.start();
  const [rest] = await Promise.all([follow(feed), whenItIsBroughtAndPaid(purchase)]);
  assert.deepEqual(plain([first, ...rest]), await timeline(purchase.order));
});

test("what was taken can be saved, and another client goes on behind it", async () => {
  const purchase = await givenAnOrder();
  const feed = client.subscribe(mallbots.OrderProgressDocument, { order: purchase.order });
  const seen = [(await feed.next()).value!, (await feed.next()).value!];
  const saved = feed.cursor;
  assert.equal(saved, seen[1]!.data.orderProgress.cursor);
  await feed.return!();
  assert.equal((await feed.next()).done, true);

  // The document need not have a variable for it.
  const other = connect(mall.url);
  try {
    const query = `subscription ($order: ID!) {
      orderProgress(orderId: $order) { cursor at kind title status sagaStep { name } }
    }`;
    const next = other.subscribe<OrderProgressSubscription>(query, { order: purchase.order }, { resume: saved });
    const [rest] = await Promise.all([follow(next), whenItIsBroughtAndPaid(purchase)]);
    assert.deepEqual(plain([...seen, ...rest]), await timeline(purchase.order));
  } finally {
    await other.close();
  }
});

test("every message to a customer comes once, whatever happens in between", async () => {
  const purchase = await givenAnOrder();
  const feed = client.subscribe(mallbots.NotificationSentDocument, { customer: purchase.customer });
  const first = (await feed.next()).value!;
  assert.notEqual(first.cursor, null);
  await mall.kill();
  await mall.start();
  await whenItIsBroughtAndPaid(purchase);
  const seen = [first.data.notificationSent.id];
  const query = `query ($id: ID!) { customer(id: $id) { notifications(first: 100) { nodes { id } } } }`;
  const all = await eventually(async () => {
    const { customer } = await client.request<any>(query, { id: purchase.customer });
    const sent = customer.notifications.nodes.map(({ id }: { id: string }) => id).reverse();
    if (sent.length < 2) throw new mallbots.Refused([{ message: "", extensions: { code: "NOT_FOUND" } }]);
    return sent;
  });
  while (seen.length < all.length) seen.push((await feed.next()).value!.data.notificationSent.id);
  assert.deepEqual(seen, all);
});

test("a mutation whose answer was lost is sent again and done once", async () => {
  const name = "Statler Toys";
  const asked = client.request(mallbots.OpenStoreDocument, { store: ids()("store"), name, location: "Level 2" });
  await mall.kill();
  await mall.start();
  await asked;
  const { stores } = await client.request<any>(`{ stores { nodes { name participating } } }`);
  assert.deepEqual(stores.nodes, [{ name, participating: true }]);
});

test("a refusal is told with its code, and ends the feed", async () => {
  const refused = (code: string) => (error: unknown) => error instanceof mallbots.Refused && error.code === code;
  await assert.rejects(client.request("{ nothing }"), refused("GRAPHQL_VALIDATION_FAILED"));
  const feed = client.subscribe("subscription { nothing }");
  await assert.rejects(feed.next(), refused("GRAPHQL_VALIDATION_FAILED"));
  assert.equal((await feed.next()).done, true);
});

test("whoever closes the client ends its feeds", async () => {
  const feed = client.subscribe(mallbots.BotsChangedDocument);
  const next = feed.next();
  await sleep(50);
  await client.close();
  assert.equal((await next).done, true);
  assert.deepEqual(client.state, { status: "closed" } satisfies ConnectionState);
});

// ---- tokens: a server that takes only one, for the mall does not ask for any yet

async function doorkeeper(good: string) {
  const server = createServer();
  const sockets = new WebSocketServer({ server, handleProtocols: () => "graphql-transport-ws" });
  const shown: unknown[] = [];
  sockets.on("connection", (socket) => {
    socket.on("message", (text) => {
      const message = JSON.parse(String(text));
      if (message.type === "connection_init") {
        shown.push(message.payload.authorization);
        if (message.payload.authorization !== `Bearer ${good}`) return socket.close(4403, "Forbidden");
        socket.send(JSON.stringify({ type: "connection_ack" }));
      } else if (message.type === "subscribe") {
        socket.send(JSON.stringify({ type: "next", id: message.id, payload: { data: { in: true } } }));
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/graphql`,
    shown,
    close: () => {
      for (const socket of sockets.clients) socket.terminate();
      server.close();
    },
  };
}

test("a token that is refused is replaced", async () => {
  const door = await doorkeeper("new");
  const asked: (string | null)[] = [];
  const guest = connect(door.url, {
    token: (refused) => {
      asked.push(refused);
      return refused === null ? "old" : "new";
    },
  });
  try {
    const feed = guest.subscribe("subscription { in }");
    assert.deepEqual((await feed.next()).value!.data, { in: true });
    assert.deepEqual(asked, [null, "old"]);
    assert.deepEqual(door.shown, ["Bearer old", "Bearer new"]);
  } finally {
    await guest.close();
    door.close();
  }
});

test("whoever has no other token is told so, and not let wait for ever", async () => {
  const door = await doorkeeper("new");
  for (const token of [undefined, () => "old", (refused: string | null) => (refused === null ? "old" : null)]) {
    const guest = connect(door.url, token ? { token } : {});
    try {
      await assert.rejects(guest.subscribe("subscription { in }").next(), mallbots.Disconnected);
    } finally {
      await guest.close();
    }
  }
  door.close();
});
