export * from "./client.js";
export * from "./operations.js";
/** Every type of the schema. */
export type * as schema from "./schema.js";
