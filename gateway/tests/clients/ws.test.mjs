// graphql-ws, the client the socket's protocol was written for.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { createClient } from "graphql-ws";
import WebSocket from "ws";
import { openMall, take } from "./mall.mjs";

let mall;
before(async () => {
  mall = await openMall();
});
after(() => mall.close());

const connect = (options = {}) =>
  createClient({ url: mall.socketUrl, webSocketImpl: WebSocket, ...options });

test("queries, mutations and subscriptions share a socket", async () => {
  const client = connect();
  const { store } = await mall.store("Socketed");
  const [answer] = await take(1, client.iterate({ query: "{ __typename }" }));
  assert.deepEqual(answer, { data: { __typename: "Query" } });
  const items = client.iterate({
    query: "subscription ($store: ID!) { productsChanged(storeId: $store) { name } }",
    variables: { store },
  });
  assert.equal((await items.next()).value.data.productsChanged.name, "Owl");
  await mall.product(store, "Bat");
  assert.equal((await items.next()).value.data.productsChanged.name, "Bat");
  await items.return();
  await client.dispose();
});

test("what is refused is an error of the operation, not of the socket", async () => {
  const client = connect();
  await assert.rejects(take(1, client.iterate({ query: "{ nothing }" })), (errors) => {
    assert.equal(errors[0].extensions.code, "GRAPHQL_VALIDATION_FAILED");
    return true;
  });
  await take(1, client.iterate({ query: "{ __typename }" }));
  await client.dispose();
});

test("a document may be named by its hash here too", async () => {
  const client = connect();
  const sha256Hash = "ecf4edb46db40b5132295c0291d62fb65d6759a9eedfa4d5d612dd5ec54a6b38";
  const extensions = { persistedQuery: { version: 1, sha256Hash } };
  await assert.rejects(take(1, client.iterate({ query: "", extensions })), (errors) => {
    assert.equal(errors[0].extensions.code, "PERSISTED_QUERY_NOT_FOUND");
    return true;
  });
  await take(1, client.iterate({ query: "{__typename}", extensions }));
  const [answer] = await take(1, client.iterate({ query: "", extensions }));
  assert.deepEqual(answer, { data: { __typename: "Query" } });
  await client.dispose();
});
