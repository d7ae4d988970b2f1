// graphql-sse, in its mode of distinct connections.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { createClient } from "graphql-sse";
import { openMall, take } from "./mall.mjs";

const PRODUCTS = "subscription ($store: ID!) { productsChanged(storeId: $store) { id name } }";

let mall;
before(async () => {
  mall = await openMall();
});
after(() => mall.close());

test("a subscription is followed", async () => {
  const { store, product } = await mall.store("Waldorf Books");
  const client = createClient({ url: mall.url });
  const items = client.iterate({ query: PRODUCTS, variables: { store } });
  assert.deepEqual((await items.next()).value.data.productsChanged, { id: product, name: "Owl" });
  const added = await mall.product(store, "Bat");
  assert.deepEqual((await items.next()).value.data.productsChanged, { id: added, name: "Bat" });
  await items.return();
  client.dispose();
});

test("a query and a mutation come as one event", async () => {
  const client = createClient({ url: mall.url });
  const [answer] = await take(1, client.iterate({ query: "{ __typename }" }));
  assert.deepEqual(answer, { data: { __typename: "Query" } });
  const query = 'mutation { createStore(input: { name: "A", location: "1" }) { position } }';
  const [made] = await take(1, client.iterate({ query }));
  assert.equal(made.extensions.consistency, made.data.createStore.position);
  client.dispose();
});

test("what is refused comes as errors", async () => {
  const client = createClient({ url: mall.url });
  for (const [query, code] of [
    ["subscription { nothing }", "GRAPHQL_VALIDATION_FAILED"],
    ["subscription {", "GRAPHQL_PARSE_FAILED"],
  ]) {
    const items = await take(2, client.iterate({ query }));
    assert.equal(items.length, 1);
    assert.equal(items[0].errors[0].extensions.code, code);
    assert.ok(items[0].errors[0].extensions.requestId);
  }
  client.dispose();
});

test("a reader resumes behind the last event it saw", async () => {
  const order = await mall.purchase();
  const query = "subscription ($id: ID!) { orderProgress(orderId: $id) { cursor title } }";
  const subscribe = async (lastEventId) => {
    const response = await fetch(mall.url, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        accept: "text/event-stream",
        ...(lastEventId && { "last-event-id": lastEventId }),
      },
      body: JSON.stringify({ query, variables: { id: order } }),
    });
    return events(response);
  };
  const all = await take(3, await subscribe());
  assert.ok(all.every(({ id, data }) => id && id === data.data.orderProgress.cursor));
  const rest = await take(2, await subscribe(all[0].id));
  assert.deepEqual(rest, all.slice(1));
});

/** The `next` events of an answer. */
async function* events(response) {
  let text = "";
  for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    for (let end; (end = text.indexOf("\n\n")) >= 0; text = text.slice(end + 2)) {
      const field = (name) => text.slice(0, end).match(new RegExp(`^${name}: (.*)$`, "m"))?.[1];
      if (field("event") === "next") yield { id: field("id"), data: JSON.parse(field("data")) };
    }
  }
}
