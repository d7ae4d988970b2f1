// Apollo Client over HTTP, by hash, over multipart and over a WebSocket.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, test } from "node:test";
import { ApolloClient, ApolloLink, HttpLink, InMemoryCache, gql } from "@apollo/client";
import { CombinedGraphQLErrors } from "@apollo/client/errors";
import { PersistedQueryLink } from "@apollo/client/link/persisted-queries";
import { GraphQLWsLink } from "@apollo/client/link/subscriptions";
import { createClient } from "graphql-ws";
import WebSocket from "ws";
import { openMall } from "./mall.mjs";

const STORE = gql`query Store($id: ID!) { store(id: $id) { id name } }`;
const PRODUCTS = gql`
  subscription Products($store: ID!) { productsChanged(storeId: $store) { id name } }`;

let mall;
before(async () => {
  mall = await openMall();
});
after(() => mall.close());

const clientOver = (link) => new ApolloClient({ link, cache: new InMemoryCache() });

/** A link that fetches, and remembers what it sent. */
function http(options = {}) {
  const sent = [];
  const link = new HttpLink({
    uri: mall.url,
    fetch: (url, request) => {
      sent.push({ url, ...request });
      return fetch(url, request);
    },
    ...options,
  });
  return { link, sent };
}

test("queries and mutations over HTTP", async () => {
  const client = clientOver(http().link);
  const made = await client.mutate({
    mutation: gql`mutation { createStore(input: { name: "Apollo", location: "1" }) { store { id name } } }`,
  });
  const { store } = made.data.createStore;
  const { data } = await client.query({ query: STORE, variables: { id: store.id } });
  assert.equal(data.store.name, "Apollo");
});

test("errors arrive as such, with code and request id", async () => {
  const client = clientOver(http().link);
  await assert.rejects(client.query({ query: gql`{ nothing }` }), (error) => {
    assert.ok(CombinedGraphQLErrors.is(error), String(error));
    assert.equal(error.errors[0].extensions.code, "GRAPHQL_VALIDATION_FAILED");
    assert.ok(error.errors[0].extensions.requestId);
    return true;
  });
});

for (const useGETForHashedQueries of [false, true]) {
  test(`a document is sent once, then its hash, by ${useGETForHashedQueries ? "GET" : "POST"}`, async () => {
    const name = useGETForHashedQueries ? "ByGet" : "ByPost";
    const { store } = await mall.store("Persisted");
    const { link, sent } = http();
    const sha256 = (text) => createHash("sha256").update(text).digest("hex");
    const persisted = new PersistedQueryLink({ sha256, useGETForHashedQueries });
    const client = clientOver(ApolloLink.from([persisted, link]));
    // Another document for each, so that neither is known from the other.
    const query = gql(`query ${name}($id: ID!) { store(id: $id) { name } }`);
    const ask = () =>
      client.query({ query, variables: { id: store }, fetchPolicy: "network-only" });
    assert.equal((await ask()).data.store.name, "Persisted");
    assert.equal((await ask()).data.store.name, "Persisted");
    // The hash, the document with it, the hash again.
    const texts = sent.map(({ url, body }) => /"query"|[?&]query=/.test(`${url}${body ?? ""}`));
    assert.deepEqual(texts, [false, true, false]);
    assert.equal(sent[2].method, useGETForHashedQueries ? "GET" : "POST");
  });
}

test("hashes are left alone where the server keeps nothing", async () => {
  const narrow = await openMall({ MALLBOTS_PERSISTED_QUERIES: "false" });
  try {
    const { link, sent } = http({ uri: narrow.url });
    const sha256 = (text) => createHash("sha256").update(text).digest("hex");
    const client = clientOver(ApolloLink.from([new PersistedQueryLink({ sha256 }), link]));
    for (const query of [gql`{ __typename }`, gql`query Again { __typename }`]) {
      await client.query({ query, fetchPolicy: "network-only" });
    }
    // After the first refusal it does not try any more.
    assert.equal(sent.length, 3);
  } finally {
    await narrow.close();
  }
});

/** Waits for the items of a subscription, one after the other. */
function follow(client, options) {
  const items = [];
  let heard = () => {};
  const subscription = client.subscribe(options).subscribe({
    next: (item) => (items.push(item), heard()),
    error: (error) => (items.push({ error }), heard()),
  });
  const next = async () => {
    while (items.length === 0) await new Promise((resolve) => (heard = resolve));
    return items.shift();
  };
  return { next, stop: () => subscription.unsubscribe() };
}

const ways = {
  multipart: () => ({ link: http().link, end: () => {} }),
  WebSocket: () => {
    const socket = createClient({ url: mall.socketUrl, webSocketImpl: WebSocket });
    return { link: new GraphQLWsLink(socket), end: () => socket.dispose() };
  },
};

for (const [name, way] of Object.entries(ways)) {
  test(`a subscription over ${name}`, async () => {
    const { store } = await mall.store(`Live ${name}`);
    const { link, end } = way();
    const items = follow(clientOver(link), { query: PRODUCTS, variables: { store } });
    assert.equal((await items.next()).data.productsChanged.name, "Owl");
    await mall.product(store, "Bat");
    assert.equal((await items.next()).data.productsChanged.name, "Bat");
    items.stop();
    await end();
  });

  test(`a subscription that is refused over ${name}`, async () => {
    const { link, end } = way();
    const query = gql`subscription { orderChanged(id: "nonsense") { id } }`;
    const items = follow(clientOver(link), { query });
    const { error } = await items.next();
    assert.equal(error.errors[0].extensions.code, "BAD_USER_INPUT", String(error));
    items.stop();
    await end();
  });
}
