/**
 * Vectors that AWS publishes, "Signature Version 4 test suite": the request and the `Authorization` header of each. Those
 * that normalize a path are left out, which S3 does not do; of a header that is sent twice the values are joined.
 * https://docs.aws.amazon.com/general/latest/gr/signature-v4-test-suite.html
 */
import assert from "node:assert/strict";
import { authorizationOf, sha256, signatureOf, type SignedRequest, type Signing } from "../../../core/s3/sigv4.ts";

const SCOPE = "20150830/us-east-1/service/aws4_request";
const DATE = "20150830T123600Z";
const BASE = {
  accessKeyId: "AKIDEXAMPLE",
  secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
  date: DATE,
  scope: SCOPE,
};

/** One of the suite's requests, to `example.amazonaws.com`. */
interface Vector {
  readonly method?: "GET" | "POST";
  readonly path?: string;
  readonly query?: SignedRequest["query"];
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly signature: string;
}

const FORM = "application/x-www-form-urlencoded";
const UNRESERVED = "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

const VECTORS: Readonly<Record<string, Vector>> = {
  "get-vanilla": { signature: "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31" },
  "get-vanilla-empty-query-key": {
    query: [["Param1", "value1"]],
    signature: "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb",
  },
  "get-vanilla-query-order-key-case": {
    query: [["Param2", "value2"], ["Param1", "value1"]],
    signature: "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
  },
  "get-vanilla-query-unreserved": {
    query: [[UNRESERVED, UNRESERVED]],
    signature: "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197",
  },
  "get-vanilla-utf8-query": {
    query: [["ሴ", "bar"]],
    signature: "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04",
  },
  "get-unreserved": {
    path: `/${UNRESERVED}`,
    signature: "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f",
  },
  "get-utf8": {
    path: "/%E1%88%B4",
    signature: "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85",
  },
  "get-header-key-duplicate": {
    headers: { "My-Header1": "value2,value2,value1" },
    signature: "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea",
  },
  "get-header-value-multiline": {
    headers: { "My-Header1": "value1,value2,value3" },
    signature: "ba17b383a53190154eb5fa66a1b836cc297cc0a3d70a5d00705980573d8ff790",
  },
  "get-header-value-order": {
    headers: { "My-Header1": "value4,value1,value3,value2" },
    signature: "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01",
  },
  "get-header-value-trim": {
    headers: { "My-Header1": "  value1", "My-Header2": '  "a   b   c"' },
    signature: "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
  },
  "post-vanilla": {
    method: "POST",
    signature: "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
  },
  "post-header-key-sort": {
    method: "POST",
    headers: { "My-Header1": "value1" },
    signature: "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c",
  },
  "post-vanilla-query": {
    method: "POST",
    query: [["Param1", "value1"]],
    signature: "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11",
  },
  "post-x-www-form-urlencoded": {
    method: "POST",
    headers: { "Content-Type": FORM },
    body: "Param1=value1",
    signature: "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
  },
  "post-x-www-form-urlencoded-parameters": {
    method: "POST",
    headers: { "Content-Type": `${FORM}; charset=utf8` },
    body: "Param1=value1",
    signature: "1a72ec8f64bd914b0e42e42607c7fbce7fb2c7465f63e3092b3b0d39fa77a6fe",
  },
};

function parts({ method = "GET", path = "/", query = [], headers: more = {}, body = "" }: Vector) {
  const headers = new Headers({ host: "example.amazonaws.com", "x-amz-date": DATE, ...more });
  const request: SignedRequest = { method, path, query, headers };
  const signing: Signing & { accessKeyId: string } = {
    ...BASE,
    signed: [...headers.keys()].sort(),
    payloadHash: sha256(body),
  };
  return { request, signing };
}

for (const [name, vector] of Object.entries(VECTORS)) {
  Deno.test(`authorizationOf() gives AWS's header of ${name}, and no other for another request`, () => {
    const { request, signing } = parts(vector);
    const claim = `Credential=AKIDEXAMPLE/${SCOPE}, SignedHeaders=${signing.signed.join(";")}`;
    assert.equal(authorizationOf(request, signing), `AWS4-HMAC-SHA256 ${claim}, Signature=${vector.signature}`);
    for (
      const other of [
        signatureOf({ ...request, method: "PUT" }, signing),
        signatureOf({ ...request, path: `${request.path}x` }, signing),
        signatureOf({ ...request, query: [...request.query, ["x", ""]] }, signing),
        signatureOf(request, { ...signing, payloadHash: sha256("another") }),
        signatureOf(request, { ...signing, secret: `${signing.secret}x` }),
        signatureOf(request, { ...signing, date: "20150830T123601Z" }),
        signatureOf(request, { ...signing, scope: SCOPE.replace("service", "s3") }),
      ]
    ) {
      assert.notEqual(other, vector.signature);
    }
  });
}
