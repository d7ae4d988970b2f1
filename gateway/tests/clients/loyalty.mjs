// A second schema, which adds to the mall's: points of customers, and stars of
// what they bought.
import { once } from "node:events";
import { createServer } from "node:http";
import { buildSubgraphSchema } from "@apollo/subgraph";
import { parse } from "graphql";
import { createHandler } from "graphql-http/lib/use/http";

export const typeDefs = `
  extend schema
    @link(url: "https://specs.apollo.dev/federation/v2.5", import: ["@key", "@shareable"])

  type Query {
    members(ids: [ID!]!): [Loyalty!]!
    reviewed(product: ID!): Review
  }

  type Customer @key(fields: "id") {
    id: ID!
    loyalty: Loyalty!
  }

  type Product @key(fields: "id") {
    id: ID!
    reviews(first: Int): ReviewConnection!
  }

  type Order @key(fields: "id") {
    id: ID!
    earned: Int!
  }

  type Loyalty {
    points: Int!
    customer: Customer
  }

  type Review {
    stars: Int!
    product: Product
  }

  type ReviewConnection {
    nodes: [Review!]!
    pageInfo: PageInfo!
  }

  type PageInfo @shareable {
    hasNextPage: Boolean!
    hasPreviousPage: Boolean!
    startCursor: Cursor
    endCursor: Cursor
  }

  scalar Cursor
`;

const loyalty = (id) => ({ points: id.length, customer: { id } });
const resolvers = {
  Query: {
    members: (_, { ids }) => ids.map(loyalty),
    reviewed: (_, { product }) => ({ stars: 5, product: { id: product } }),
  },
  Customer: {
    __resolveReference: ({ id }) => ({ id }),
    loyalty: ({ id }) => loyalty(id),
  },
  Product: {
    __resolveReference: ({ id }) => ({ id }),
    reviews: ({ id }) => ({
      nodes: [{ stars: 5, product: { id } }],
      pageInfo: { hasNextPage: false, hasPreviousPage: false },
    }),
  },
  Order: { __resolveReference: ({ id }) => ({ id }), earned: () => 1 },
};

/** Serves it on a port of its own. */
export async function openLoyalty() {
  const schema = buildSubgraphSchema({ typeDefs: parse(typeDefs), resolvers });
  const server = createServer(createHandler({ schema }));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${server.address().port}/`,
    async close() {
      server.closeAllConnections();
      server.close();
    },
  };
}
