/**
 * The examples that AWS publishes, with the key of its documentation:
 * https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html,
 * .../sigv4-query-string-auth.html, .../sigv4-streaming.html
 */
import assert from "node:assert/strict";
import { requestBody } from "../../../core/s3/body.ts";
import { S3Error } from "../../../core/s3/error.ts";
import { authenticate, type Verifier } from "../../../core/s3/signature.ts";
import type { SignedRequest } from "../../../core/s3/sigv4.ts";

const KEY = "AKIAIOSFODNN7EXAMPLE";
const SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const SCOPE = "20130524/us-east-1/s3/aws4_request";
const HOST = "examplebucket.s3.amazonaws.com";

const verifier: Verifier = {
  region: "us-east-1",
  now: () => new Date("2013-05-24T00:00:00Z"),
  secretOf: (id) => Promise.resolve(id === KEY ? SECRET : undefined),
};

function signed(
  method: string,
  path: string,
  query: [string, string][],
  headers: Record<string, string>,
  signature: string,
): SignedRequest & { headers: Headers } {
  const all = new Headers({ host: HOST, "x-amz-content-sha256": EMPTY, "x-amz-date": "20130524T000000Z", ...headers });
  const names = [...all.keys()].sort().join(";");
  const credential = `AWS4-HMAC-SHA256 Credential=${KEY}/${SCOPE},SignedHeaders=${names},Signature=${signature}`;
  all.set("authorization", credential);
  return { method, path, query, headers: all };
}

const GET_OBJECT = () =>
  signed(
    "GET",
    "/test.txt",
    [],
    { range: "bytes=0-9" },
    "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
  );

const EXAMPLES: Record<string, () => SignedRequest> = {
  "GET Object": GET_OBJECT,
  "PUT Object": () =>
    signed("PUT", "/test%24file.text", [], {
      date: "Fri, 24 May 2013 00:00:00 GMT",
      "x-amz-content-sha256": "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
      "x-amz-storage-class": "REDUCED_REDUNDANCY",
    }, "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"),
  "GET Bucket Lifecycle": () =>
    signed("GET", "/", [["lifecycle", ""]], {}, "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
  "GET Bucket (List Objects)": () =>
    signed(
      "GET",
      "/",
      [["max-keys", "2"], ["prefix", "J"]],
      {},
      "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
    ),
  "a presigned URL": () => ({
    method: "GET",
    path: "/test.txt",
    query: [
      ["X-Amz-Algorithm", "AWS4-HMAC-SHA256"],
      ["X-Amz-Credential", `${KEY}/${SCOPE}`],
      ["X-Amz-Date", "20130524T000000Z"],
      ["X-Amz-Expires", "86400"],
      ["X-Amz-SignedHeaders", "host"],
      ["X-Amz-Signature", "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"],
    ],
    headers: new Headers({ host: HOST }),
  }),
};

async function refused(request: SignedRequest, code: string, changed: Partial<Verifier> = {}): Promise<void> {
  await assert.rejects(authenticate(request, { ...verifier, ...changed }), (error) => {
    assert(error instanceof S3Error, String(error));
    assert.equal(error.code, code);
    return true;
  });
}

for (const [name, example] of Object.entries(EXAMPLES)) {
  Deno.test(`authenticate() takes AWS's example: ${name}`, async () => {
    assert.equal((await authenticate(example(), verifier)).accessKeyId, KEY);
    const request = example();
    await refused({ ...request, method: "DELETE" }, "SignatureDoesNotMatch");
    await refused({ ...request, path: `${request.path}x` }, "SignatureDoesNotMatch");
    await refused({ ...request, query: [...request.query, ["x", ""]] }, "SignatureDoesNotMatch");
    await refused(example(), "SignatureDoesNotMatch", { secretOf: () => Promise.resolve("another") });
    await refused(example(), "InvalidAccessKeyId", { secretOf: () => Promise.resolve(undefined) });
  });
}

Deno.test("authenticate() tells a wrong region, skew, an expired URL, what is unsigned or malformed", async () => {
  const presigned = EXAMPLES["a presigned URL"];
  const at = (text: string) => ({ now: () => new Date(text) });
  await refused(GET_OBJECT(), "AuthorizationHeaderMalformed", { region: "eu-west-1" });
  await refused(presigned(), "AuthorizationQueryParametersError", { region: "eu-west-1" });
  await refused(GET_OBJECT(), "RequestTimeTooSkewed", at("2013-05-24T00:15:01Z"));
  await refused(GET_OBJECT(), "RequestTimeTooSkewed", at("2013-05-23T23:44:59Z"));
  await authenticate(GET_OBJECT(), { ...verifier, ...at("2013-05-24T00:15:00Z") });
  await authenticate(presigned(), { ...verifier, ...at("2013-05-25T00:00:00Z") });
  await refused(presigned(), "AccessDenied", at("2013-05-25T00:00:01Z"));
  await refused(presigned(), "RequestTimeTooSkewed", at("2013-05-23T23:00:00Z"));

  const change = (work: (headers: Headers) => void) => {
    const request = GET_OBJECT();
    work(request.headers);
    return request;
  };
  await refused(change((headers) => headers.delete("authorization")), "AccessDenied");
  await refused(change((headers) => headers.set("authorization", `AWS ${KEY}:x`)), "InvalidRequest");
  await refused(
    change((headers) => headers.set("authorization", "AWS4-HMAC-SHA256 x")),
    "AuthorizationHeaderMalformed",
  );
  await refused(change((headers) => headers.set("range", "bytes=0-99")), "SignatureDoesNotMatch");
  await refused(change((headers) => headers.set("x-amz-acl", "public-read")), "AccessDenied"); // not among the signed
  await refused(change((headers) => headers.set("x-amz-date", "20130525T000000Z")), "AuthorizationHeaderMalformed");
  await refused(change((headers) => headers.delete("x-amz-content-sha256")), "InvalidRequest");
});

const CHUNKS = [
  [65_536, "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"],
  [1_024, "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"],
  [0, "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"],
] as const;

Deno.test("requestBody() takes AWS's example of signed chunks, however it is cut, and refuses one that is changed", async () => {
  const request = signed("PUT", "/examplebucket/chunkObject.txt", [], {
    host: "s3.amazonaws.com",
    "content-encoding": "aws-chunked",
    "content-length": "66824",
    "x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
    "x-amz-decoded-content-length": "66560",
    "x-amz-storage-class": "REDUCED_REDUNDANCY",
  }, "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9");
  const text = CHUNKS.map(([size, signature]) =>
    `${size.toString(16)};chunk-signature=${signature}\r\n${"a".repeat(size)}\r\n`
  ).join("");
  assert.equal(text.length, 66_824);

  async function sizeOf(text: string, cut: number): Promise<number> {
    const bytes = new TextEncoder().encode(text);
    async function* stream() {
      for (let at = 0; at < bytes.length; at += cut) yield bytes.subarray(at, at + cut);
    }
    const { payload } = await authenticate(request, verifier);
    const body = requestBody(request.headers, stream(), payload);
    let size = 0;
    for await (const piece of body.bytes) size += piece.length;
    assert.equal(body.md5().length, 32);
    return size;
  }
  for (const cut of [7, 1_000, 65_536, 100_000]) assert.equal(await sizeOf(text, cut), 66_560);
  const refusedBody = async (text: string, code: string) => {
    await assert.rejects(sizeOf(text, 10_000), (error) => (error as S3Error).code === code);
  };
  await refusedBody(text.replace("aaaa", "aaab"), "SignatureDoesNotMatch");
  await refusedBody(text.replace(CHUNKS[2][1], CHUNKS[1][1]), "SignatureDoesNotMatch");
  await refusedBody(text.slice(0, 40_000), "IncompleteBody");
  await refusedBody(text.slice(0, text.lastIndexOf("\r\n0;") + 2), "IncompleteBody");
  await refusedBody(text.replace(";chunk-signature", ";x"), "SignatureDoesNotMatch");
  await refusedBody(`zz${text}`, "InvalidRequest");
});
