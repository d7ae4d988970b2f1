// Everything that "GraphQL over HTTP" asks of a server.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { serverAudits } from "graphql-http";
import { openMall } from "./mall.mjs";

let mall;
before(async () => {
  mall = await openMall();
});
after(() => mall.close());

const audits = serverAudits({ url: () => mall.url, fetchFn: fetch });

test("there are 61 audits", () => assert.equal(audits.length, 61));

for (const audit of audits) {
  test(`${audit.id}: ${audit.name}`, async () => {
    const result = await audit.fn();
    // A warning is a SHOULD, a notice a MAY: both are held here.
    assert.equal(result.status, "ok", JSON.stringify(result.reason));
  });
}
