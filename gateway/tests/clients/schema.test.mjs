// The schema as others will read it: rules of style, Relay's specifications,
// and that nothing is taken away from those who use it already.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import {
  DEFAULT_DEPRECATION_REASON,
  buildSchema,
  findBreakingChanges,
  getNamedType,
  isEnumType,
  isInputObjectType,
  isInterfaceType,
  isIntrospectionType,
  isListType,
  isNonNullType,
  isObjectType,
  isSpecifiedScalarType,
  validateSchema,
} from "graphql";

const read = (name) => readFile(new URL(`../../../${name}`, import.meta.url), "utf8");
const schema = buildSchema(await read("schema.graphql"));

// Federation named these.
const FEDERATION = ["_Any", "_Entity", "_Service", "_entities", "_service"];

const types = Object.values(schema.getTypeMap()).filter(
  (type) => !isIntrospectionType(type) && !isSpecifiedScalarType(type),
);

/** Everything that has a name, with where it stands. */
function* everything() {
  for (const type of types) {
    yield { kind: "type", place: type.name, of: type };
    if (isEnumType(type)) {
      for (const value of type.getValues()) {
        yield { kind: "value", place: `${type.name}.${value.name}`, of: value };
      }
    } else if (isObjectType(type) || isInterfaceType(type) || isInputObjectType(type)) {
      for (const field of Object.values(type.getFields())) {
        const place = `${type.name}.${field.name}`;
        yield { kind: "field", place, of: field };
        for (const argument of field.args ?? []) {
          yield { kind: "argument", place: `${place}(${argument.name})`, of: argument };
        }
      }
    }
  }
}

/** Says of each place that breaks a rule which one it is. */
function judge(rules) {
  const faults = [];
  for (const it of everything()) {
    for (const [rule, holds] of Object.entries(rules)) {
      if (!holds(it)) faults.push(`${it.place}: ${rule}`);
    }
  }
  assert.deepEqual(faults, []);
}

const SHAPES = {
  type: /^[A-Z][A-Za-z0-9]*$/,
  field: /^[a-z][A-Za-z0-9]*$/,
  argument: /^[a-z][A-Za-z0-9]*$/,
  value: /^[A-Z][A-Z0-9]*(_[A-Z0-9]+)*$/,
};

test("the schema is one", () => {
  assert.deepEqual(validateSchema(schema), []);
});

test("everything is described, in sentences", () => {
  judge({
    "has no description": ({ of }) => of.description?.trim(),
    "does not end as a sentence": ({ of }) => !of.description || /[.!?`)]$/.test(of.description.trim()),
  });
});

test("names have the shape of what they name", () => {
  judge({
    "is named otherwise": ({ kind, of }) =>
      SHAPES[kind].test(of.name) || FEDERATION.includes(of.name),
    "repeats its type's name": ({ kind, place, of }) =>
      kind !== "field" || !of.name.toLowerCase().startsWith(`get${place.split(".")[0].toLowerCase()}`),
    "is an input and does not say so": ({ kind, of }) =>
      kind !== "type" || !isInputObjectType(of) || /(Input|Filter)$/.test(of.name),
    "says it is an input and is none": ({ kind, of }) =>
      kind !== "type" || isInputObjectType(of) || !/(Input|Filter)$/.test(of.name),
  });
});

test("what is deprecated says what to use instead, and is not asked for", () => {
  judge({
    "has no reason": ({ of }) =>
      of.deprecationReason == null || of.deprecationReason !== DEFAULT_DEPRECATION_REASON,
    "is needed and deprecated": ({ kind, of }) =>
      kind !== "argument" ||
      of.deprecationReason == null ||
      !isNonNullType(of.type) ||
      of.defaultValue !== undefined,
  });
});

test("lists have no holes, but where something may not be there", () => {
  const withHoles = ["Query.nodes", "Query._entities"];
  judge({
    "may hold null": ({ kind, place, of }) => {
      if (kind !== "field" || withHoles.includes(place)) return true;
      const type = isNonNullType(of.type) ? of.type.ofType : of.type;
      return !isListType(type) || isNonNullType(type.ofType);
    },
  });
});

test("lists of things are Relay's connections", () => {
  const connections = types.filter((type) => type.name.endsWith("Connection"));
  assert.ok(connections.length > 10);
  for (const connection of connections) {
    const { edges, nodes, pageInfo } = connection.getFields();
    assert.equal(String(pageInfo.type), "PageInfo!", connection.name);
    assert.match(String(edges.type), /^\[\w+Edge!\]!$/, connection.name);
    const { cursor, node } = getNamedType(edges.type).getFields();
    assert.equal(String(cursor.type), "Cursor!", connection.name);
    assert.equal(getNamedType(nodes.type), getNamedType(node.type), connection.name);
  }
  const pageInfo = Object.values(schema.getType("PageInfo").getFields());
  assert.deepEqual(
    Object.fromEntries(pageInfo.map((field) => [field.name, String(field.type)])),
    {
      hasNextPage: "Boolean!",
      hasPreviousPage: "Boolean!",
      startCursor: "Cursor",
      endCursor: "Cursor",
    },
  );
  const paging = { first: "Int", after: "Cursor", last: "Int", before: "Cursor" };
  judge({
    "is a connection that is not paged both ways": ({ kind, of }) => {
      if (kind !== "field" || !getNamedType(of.type).name.endsWith("Connection")) return true;
      const types = Object.fromEntries(of.args.map((arg) => [arg.name, String(arg.type)]));
      return Object.entries(paging).every(([name, type]) => types[name] === type);
    },
  });
});

test("things with an id are Relay's nodes", () => {
  const { node, nodes } = schema.getQueryType().getFields();
  assert.equal(String(node.type), "Node");
  assert.deepEqual(node.args.map((arg) => `${arg.name}: ${arg.type}`), ["id: ID!"]);
  assert.equal(String(nodes.type), "[Node]!");
  const entities = schema.getPossibleTypes(schema.getType("_Entity"));
  const all = schema.getPossibleTypes(schema.getType("Node"));
  assert.deepEqual(entities.map(String).sort(), all.map(String).sort());
  for (const type of all) assert.equal(String(type.getFields().id.type), "ID!", type.name);
});

/** What somebody who used one schema would miss in the other. */
function broken(before, after) {
  return findBreakingChanges(before, after).map(({ type, description }) => `${type}: ${description}`);
}

test("what breaks somebody is noticed, what is only added is not", async () => {
  const released = await read("schema.released.graphql");
  // What is written within a type, written otherwise.
  const changed = (type, from, to) => {
    const at = released.indexOf(from, released.indexOf(`${type} {`));
    assert.ok(at > 0, `${from} stands in ${type}`);
    const after = released.slice(0, at) + to + released.slice(at + from.length);
    return broken(buildSchema(released), buildSchema(after)).map((found) => found.split(":")[0]);
  };
  const order = "type Order implements Node";
  assert.deepEqual(changed(order, "total: Money!", "sum: Money!"), ["FIELD_REMOVED"]);
  assert.deepEqual(changed(order, "total: Money!", "total: Money"), ["FIELD_CHANGED_KIND"]);
  assert.deepEqual(changed("enum OrderStatus", "\tAPPROVED\n", "\tPASSED\n"), ["VALUE_REMOVED_FROM_ENUM"]);
  assert.deepEqual(
    changed("input RegisterCustomerInput", "name: String!", "name: String!\n\tborn: Int!"),
    ["REQUIRED_INPUT_FIELD_ADDED"],
  );
  assert.deepEqual(changed(order, "total: Money!", "total: Money!\n\ttax: Money"), []);
  assert.deepEqual(changed("enum OrderStatus", "\tAPPROVED\n", "\tAPPROVED\n\tPASSED\n"), []);
});

test("nothing that was released is taken away unless that is meant", async () => {
  const found = broken(buildSchema(await read("schema.released.graphql")), schema);
  const meant = JSON.parse(await readFile(new URL("breaking.json", import.meta.url), "utf8"));
  assert.deepEqual(found.sort(), meant.sort(), "say in breaking.json which of these are meant");
});
