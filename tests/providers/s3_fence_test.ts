/** `s3` where another worker takes over: the SDK repeats by itself. */
import assert from "node:assert/strict";
import * as s3 from "npm:@aws-sdk/client-s3@3.1162.0";
import { ForkstackError } from "../../mod.ts";
import { Store } from "../../providers/_shared/s3_client.ts";
import provider from "../../providers/storage/s3.ts";
import { failed, serveAws } from "../emulators/aws_s3.ts";
import { hasCode } from "./_special.ts";
import { shopOf, titleOf } from "./_s3.ts";

const KEYS = { AWS_ACCESS_KEY_ID: "test-key", AWS_SECRET_ACCESS_KEY: "test-secret" };
const FORK = titleOf("alice");

for (const key of ["..", "a/./b", "a/../../b"]) {
  Deno.test(`s3: the SDK's own repeats of a change to "${key}" ask the fence, each of them`, async () => {
    await using server = await serveAws({ intercept: (request) => failed(503, "SlowDown", request) });
    const shop = shopOf(provider, KEYS, { endpoint: server.endpoint });
    let asked = 0;
    const fence = () => {
      const isLost = ++asked > 2;
      return isLost ? Promise.reject(new ForkstackError("LOCK_LOST", "taken over", { hint: "x" })) : Promise.resolve();
    };
    const hints = { rejected: "", denied: "" };
    const { endpoint, credentials } = server;
    const account = { provider: "s3", resource: "storage", endpoint, region: "us-east-1", credentials, hints };
    await Store.with(shop.context({ fence }), account, async (store) => {
      await assert.rejects(
        store.send(new s3.DeleteObjectCommand({ Bucket: FORK, Key: key }), "x"),
        hasCode("LOCK_LOST"),
      );
      assert.equal(server.requests.length, 2);
      await assert.rejects(
        store.send(new s3.GetObjectCommand({ Bucket: FORK, Key: key }), "x"),
        hasCode("RATE_LIMITED"),
      );
      assert.equal(asked, 3, "what only reads asks nobody");
    });
  });
}
