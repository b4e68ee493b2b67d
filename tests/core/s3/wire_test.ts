/** Requests that clients send in other forms than the SDK for JavaScript does, in each runtime. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { once } from "node:events";
import { connect } from "node:net";
import { runtimeTest } from "../../runtime_helpers.ts";
import { ask, RUNTIMES, send, type Served, serveIn, signed } from "./_raw.ts";

const PUT = { method: "PUT", body: "new" } as const;

/** Sends the head of a request, and returns the status line that comes before any of its body. */
async function beforeBody({ port }: Served, bytes: Uint8Array): Promise<string> {
  const text = new TextDecoder().decode(bytes);
  const socket = connect(port, "127.0.0.1");
  socket.write(text.slice(0, text.indexOf("\r\n\r\n") + 4));
  const [data] = await once(socket, "data");
  socket.destroy();
  return String(data).split("\r\n")[0]!;
}

for (const [name, runtime] of RUNTIMES) {
  runtimeTest(`${name}: repeated, non-ASCII and expectant headers are understood`, runtime, async (command) => {
    await using served = await serveIn(command);
    const single = signed(served, { ...PUT, target: "/shop/k", headers: { "x-amz-meta-colour": "red,green,blue" } });
    const twice = new TextDecoder().decode(single)
      .replace(
        /x-amz-meta-colour: .*\r\n/,
        ["red", "green", "blue"].map((one) => `X-Amz-Meta-Colour: ${one}\r\n`).join(""),
      );
    assert.equal((await send(served, twice)).status, 200);
    const { headers } = await ask(served, { method: "HEAD", target: "/shop/k" });
    assert.equal(headers.get("x-amz-meta-colour"), "red,green,blue");

    for (const encoding of ["utf8", "latin1"] as const) {
      const bytes = signed(served, { ...PUT, target: "/shop/n", headers: { "x-amz-meta-name": "Zoë" } });
      const sent = Uint8Array.from(Buffer.from(new TextDecoder().decode(bytes), encoding));
      assert.equal((await send(served, sent)).status, 200, encoding);
      const got = await ask(served, { method: "HEAD", target: "/shop/n" });
      assert.equal(Buffer.from(got.headers.get("x-amz-meta-name")!, "latin1").toString(encoding), "Zoë");
    }

    const expectant = signed(served, { ...PUT, target: "/shop/c", headers: { expect: "100-continue" } });
    assert.equal(await beforeBody(served, expectant), "HTTP/1.1 100 Continue");
    const forged = new TextDecoder().decode(expectant).replace(/Signature=.{8}/, "Signature=00000000");
    assert.equal(await beforeBody(served, new TextEncoder().encode(forged)), "HTTP/1.1 403 Forbidden");
    const { body } = await send(served, forged, true);
    assert.match(body, /<Code>SignatureDoesNotMatch</, "and the connection ends");
    assert.equal((await ask(served, { target: "/shop/c" })).code, "NoSuchKey");
  });
}

const [[, deno]] = RUNTIMES;
runtimeTest("signature version 2 is one error, which names version 4", deno!, async (command) => {
  await using served = await serveIn(command);
  const plain = (target: string, header = "") =>
    send(served, `GET ${target} HTTP/1.1\r\nHost: 127.0.0.1:${served.port}\r\n${header}\r\n`);
  const answers = [
    await plain("/shop/k?AWSAccessKeyId=test-key&Signature=x%3D&Expires=2000000000"),
    await plain("/shop?Expires=1&Signature=&AWSAccessKeyId=nobody"),
    await plain("/?AWSAccessKeyId=test-key&Signature=x&x-amz-meta-a=b"),
    await plain("/shop/k", "Authorization: AWS test-key:abc=\r\n"),
    await plain("/shop/k", "Authorization: Bearer abc\r\n"),
  ];
  for (const { status, code, body } of answers) {
    assert.deepEqual([status, code], [400, "InvalidRequest"]);
    assert.match(body, /s3v4/);
  }
  for (const target of ["/shop/k", "/shop/k?Signature=x", "/shop/k?AWSAccessKeyId=test-key"]) {
    const { status, code } = await plain(target);
    assert.deepEqual([status, code], [403, "AccessDenied"], "it is not signed at all");
  }
});
