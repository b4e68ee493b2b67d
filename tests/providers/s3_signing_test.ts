/** Requests that the S3 providers sign themselves, by the examples that AWS publishes for S3. */
import assert from "node:assert/strict";
import { sign, type StoreAccount } from "../../providers/_shared/s3_client.ts";

const AT = "2013-05-24T00:00:00Z";
const ACCOUNT: StoreAccount = {
  provider: "s3",
  resource: "storage",
  region: "us-east-1",
  credentials: {
    accessKeyId: "AKIAIOSFODNN7EXAMPLE",
    secretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
  },
  hints: { rejected: "", denied: "" },
};

// https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
const EXAMPLES: Readonly<Record<string, string>> = {
  "?lifecycle": "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
  "?max-keys=2&prefix=J": "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
};

for (const [query, signature] of Object.entries(EXAMPLES)) {
  Deno.test(`sign() signs AWS's example GET /${query} as AWS does`, () => {
    const headers = new Headers();
    const aheadMs = Date.parse(AT) + 500 - Date.now(); // the middle of that second
    const url = new URL(`https://examplebucket.s3.amazonaws.com/${query}`);
    sign(ACCOUNT, { method: "GET", url, headers }, { aheadMs });
    assert.equal(headers.get("x-amz-date"), "20130524T000000Z");
    assert.equal(headers.get("authorization")!.split("Signature=")[1], signature);
  });
}
