// urql, which asks for subscriptions over the same fetch as for all else.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Client, fetchExchange, subscriptionExchange } from "@urql/core";
import { createClient } from "graphql-ws";
import WebSocket from "ws";
import { openMall } from "./mall.mjs";

const PRODUCTS = "subscription ($store: ID!) { productsChanged(storeId: $store) { id name } }";

let mall;
before(async () => {
  mall = await openMall();
});
after(() => mall.close());

test("queries by POST and by GET, and mutations", async () => {
  for (const preferGetMethod of [false, "force"]) {
    const client = new Client({ url: mall.url, exchanges: [fetchExchange], preferGetMethod });
    const { data, error } = await client.query("{ __typename }", {}).toPromise();
    assert.equal(error, undefined);
    assert.equal(data.__typename, "Query");
    const made = await client
      .mutation('mutation { createStore(input: { name: "U", location: "1" }) { store { name } } }', {})
      .toPromise();
    assert.equal(made.data.createStore.store.name, "U");
  }
});

test("errors arrive as such", async () => {
  const client = new Client({ url: mall.url, exchanges: [fetchExchange], preferGetMethod: false });
  const { error } = await client.query('{ store(id: "nonsense") { id } }', {}).toPromise();
  assert.equal(error.graphQLErrors[0].extensions.code, "BAD_USER_INPUT");
});

/** The items of a subscription, one after the other. */
async function follow(client, store, during) {
  const items = [];
  let heard = () => {};
  const { unsubscribe } = client
    .subscription(PRODUCTS, { store })
    .subscribe((item) => (items.push(item), heard()));
  const next = async () => {
    while (items.length === 0) await new Promise((resolve) => (heard = resolve));
    const { data, error } = items.shift();
    assert.equal(error, undefined);
    return data.productsChanged.name;
  };
  await during(next);
  unsubscribe();
}

test("a subscription over fetch", async () => {
  const { store } = await mall.store("Fetched");
  const client = new Client({
    url: mall.url,
    exchanges: [fetchExchange],
    fetchSubscriptions: true,
    preferGetMethod: false,
  });
  await follow(client, store, async (next) => {
    assert.equal(await next(), "Owl");
    await mall.product(store, "Bat");
    assert.equal(await next(), "Bat");
  });
});

test("a subscription over a WebSocket", async () => {
  const { store } = await mall.store("Socketed");
  const socket = createClient({ url: mall.socketUrl, webSocketImpl: WebSocket });
  const forwardSubscription = ({ query, variables }) => ({
    subscribe: (sink) => ({ unsubscribe: socket.subscribe({ query, variables }, sink) }),
  });
  const client = new Client({
    url: mall.url,
    exchanges: [subscriptionExchange({ forwardSubscription })],
    preferGetMethod: false,
  });
  await follow(client, store, async (next) => {
    assert.equal(await next(), "Owl");
    await mall.product(store, "Bat");
    assert.equal(await next(), "Bat");
  });
  await socket.dispose();
});
