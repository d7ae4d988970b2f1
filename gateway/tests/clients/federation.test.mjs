// The mall as a part of a larger graph: composed by both public libraries with
// a second schema, and asked through Apollo's gateway with both running.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { after, before, test } from "node:test";
import { composeServices as composeByApollo } from "@apollo/composition";
import { ApolloGateway, RemoteGraphQLDataSource } from "@apollo/gateway";
import { composeServices as composeByGuild } from "@theguild/federation-composition";
import { parse } from "graphql";
import { openLoyalty, typeDefs as loyalty } from "./loyalty.mjs";
import { openMall } from "./mall.mjs";

const secret = "a secret of thirty-two characters or more";
const mallbots = { iss: "https://id.example", aud: "mall" };

/** A token that the mall takes. */
function token(claims) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const body = { ...mallbots, exp: Math.floor(Date.now() / 1000) + 3600, ...claims };
  const signed = `${part({ alg: "HS256", typ: "JWT" })}.${part(body)}`;
  return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;
}

const tokens = {
  admin: token({ sub: "admin", roles: ["admin"], scope: "schema" }),
  router: token({ sub: "router", roles: ["router"], scope: "schema" }),
};

let mall, second, services, gateway, executor;
const people = {};

before(async () => {
  mall = await openMall({
    MALLBOTS_AUTH_SECRET: secret,
    MALLBOTS_AUTH_ISSUER: mallbots.iss,
    MALLBOTS_AUTH_AUDIENCE: mallbots.aud,
  });
  mall.token = tokens.admin;
  second = await openLoyalty();
  const { _service } = await mall.ask("{ _service { sdl } }", {}, tokens.router);
  services = [
    { name: "mall", url: mall.url, typeDefs: parse(_service.sdl) },
    { name: "loyalty", url: second.url, typeDefs: parse(loyalty) },
  ];
  for (const name of ["Ada", "Bob"]) {
    const { registerCustomer } = await mall.ask(
      `mutation ($name: String!) {
         registerCustomer(input: { name: $name, smsNumber: "+15550100" }) { customer { id } } }`,
      { name },
    );
    const id = registerCustomer.customer.id;
    people[name] = { id, token: token({ sub: name, roles: ["customer"], customer_id: id }) };
  }
  const { supergraphSdl } = composeByApollo(services);
  assert.ok(supergraphSdl);
  gateway = new ApolloGateway({
    supergraphSdl,
    buildService: ({ url }) =>
      new RemoteGraphQLDataSource({
        url,
        willSendRequest({ request, context }) {
          // The router's own token beside that of whoever asks.
          request.http.headers.set("router-authorization", `Bearer ${tokens.router}`);
          if (context.token) request.http.headers.set("authorization", `Bearer ${context.token}`);
        },
      }),
  });
  ({ executor } = await gateway.load());
});

after(async () => {
  await gateway?.stop();
  await second?.close();
  await mall?.close();
});

/** Asks the gateway for somebody. */
async function ask(query, variables = {}, asker) {
  const answer = await executor({
    document: parse(query),
    request: { query, variables },
    queryHash: query,
    context: { token: asker },
    operationName: undefined,
    cache: new Map(),
    schema: undefined,
    metrics: {},
    overallCachePolicy: {},
    requestIsBatched: false,
  });
  // As it goes out: its objects have no prototype.
  return JSON.parse(JSON.stringify(answer));
}

test("Apollo's composition has nothing to say against it", () => {
  const { supergraphSdl, errors, hints } = composeByApollo(services);
  assert.deepEqual(errors ?? [], []);
  assert.deepEqual(hints.map((hint) => hint.toString()), []);
  assert.match(supergraphSdl, /@join__type\(graph: MALL, key: "id"\)/);
  assert.match(supergraphSdl, /type Subscription/);
});

test("the Guild's composition has nothing to say against it", () => {
  // It knows errors only, no hints.
  const { supergraphSdl, errors } = composeByGuild(services);
  assert.deepEqual(errors ?? [], []);
  assert.match(supergraphSdl, /@join__type\(graph: MALL, key: "id"\)/);
  assert.match(supergraphSdl, /type Subscription/);
});

test("what one schema begins the other goes on with, both ways", async () => {
  const { Ada } = people;
  // From the mall to the other.
  const there = await ask(
    "query ($id: ID!) { customer(id: $id) { name loyalty { points } } }",
    { id: Ada.id },
    Ada.token,
  );
  assert.deepEqual(there, { data: { customer: { name: "Ada", loyalty: { points: Ada.id.length } } } });
  // And from the other to the mall.
  const back = await ask(
    "query ($ids: [ID!]!) { members(ids: $ids) { points customer { id name } } }",
    { ids: [Ada.id] },
    Ada.token,
  );
  assert.deepEqual(back.data.members, [
    { points: Ada.id.length, customer: { id: Ada.id, name: "Ada" } },
  ]);
  assert.equal(back.errors, undefined);
});

test("what is everybody's needs nobody behind the router", async () => {
  const { store, product } = await mall.store("Waldorf's");
  const { data, errors } = await ask(
    `query ($product: ID!) { reviewed(product: $product) { stars product { name store { id } } } }`,
    { product },
  );
  assert.equal(errors, undefined);
  assert.deepEqual(data.reviewed, { stars: 5, product: { name: "Owl", store: { id: store } } });
});

test("what nobody has, and what is another's, is null", async () => {
  const { Ada, Bob } = people;
  const nobody = Ada.id.replace(/.{8}$/, "00000000");
  const { data } = await ask(
    "query ($ids: [ID!]!) { members(ids: $ids) { customer { name } } }",
    { ids: [nobody, Ada.id, Bob.id] },
    Ada.token,
  );
  assert.deepEqual(data.members, [
    { customer: null },
    { customer: { name: "Ada" } },
    { customer: null },
  ]);
});

test("a customer cannot ask like a router, nor a router like a customer", async () => {
  const { Ada } = people;
  const query = `query ($r: [_Any!]!) { _entities(representations: $r) { ... on Customer { name } } }`;
  const variables = { r: [{ __typename: "Customer", id: Ada.id }] };
  for (const asker of [Ada.token, tokens.router]) {
    await assert.rejects(mall.ask(query, variables, asker), /FORBIDDEN/);
  }
  const { data, errors } = await ask(
    "query ($ids: [ID!]!) { members(ids: $ids) { points customer { name } } }",
    { ids: [Ada.id] },
  );
  assert.equal(data.members[0].customer, null);
  assert.equal(errors[0].extensions.code, "FORBIDDEN");
});
