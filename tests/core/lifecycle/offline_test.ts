/** Without a network nothing is sent, and that is told apart from a vendor that may have acted. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { httpClient } from "../../../core/http/client.ts";
import type { ForkstackError } from "../../../mod.ts";
import { runCommand } from "../../cli/run.ts";
import { testIf } from "../../helpers.ts";
import { whyMissing } from "../../tools.ts";

const URL_ = "https://api.vendor.example/v1/databases";

function error(message: string, more: { code?: string; cause?: unknown } = {}): Error {
  const { cause, code } = more;
  return Object.assign(
    new TypeError(message, cause === undefined ? {} : { cause }),
    code === undefined ? {} : { code },
  );
}

const deno = (text: string) =>
  error("fetch failed", { cause: new Error(`error sending request for url (${URL_}): ${text}`) });

/** As each runtime's fetch throws it: seen in Deno 2.9.6, Node 20 and 22, Bun 1.3. */
const OFFLINE: Readonly<Record<string, Error>> = {
  "Deno, no such name": deno(
    "client error (Connect): dns error: failed to lookup address information: Name or service not known",
  ),
  "Deno, no resolver": deno(
    "client error (Connect): dns error: failed to lookup address information: Temporary failure in name resolution",
  ),
  "Deno, no route": deno("client error (Connect): tcp connect error: Network is unreachable (os error 101)"),
  "Deno of old, in one error": new TypeError(
    `error sending request for url (${URL_}): client error (Connect): dns error: no record found`,
  ),
  "Node, no such name": error("fetch failed", { cause: error("getaddrinfo ENOTFOUND", { code: "ENOTFOUND" }) }),
  "Node, no resolver": error("fetch failed", { cause: error("getaddrinfo EAI_AGAIN", { code: "EAI_AGAIN" }) }),
  "Node, no route": error("fetch failed", { cause: error("connect ENETUNREACH", { code: "ENETUNREACH" }) }),
  "Bun, no such name": error("getaddrinfo ENOTFOUND", { code: "ENOTFOUND" }),
};

/** After these a vendor may have acted, or a server may be there in a moment. */
const OTHERS: Readonly<Record<string, Error>> = {
  "a server that is not up": deno("client error (Connect): tcp connect error: Connection refused (os error 111)"),
  "a connection that broke": error("fetch failed", { cause: error("read ECONNRESET", { code: "ECONNRESET" }) }),
  "a name in the vendor's own words": deno("connection error: dns error at the vendor"),
  "a loop of causes": (() => {
    const loop = error("fetch failed");
    loop.cause = loop;
    return loop;
  })(),
};

async function ending(thrown: Error, method: string): Promise<{ tries: number; error: ForkstackError }> {
  let tries = 0;
  const client = httpClient({
    fetch: () => {
      tries++;
      return Promise.reject(thrown);
    },
    sleep: (ms, signal) =>
      ms < 30_000 ? Promise.resolve() : new Promise((_, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason), { once: true });
      }),
  });
  try {
    await client(new Request(URL_, { method }));
  } catch (error) {
    return { tries, error: error as ForkstackError };
  }
  throw new Error("it must fail");
}

for (const [how, thrown] of Object.entries(OFFLINE)) {
  Deno.test(`${how}: NETWORK_UNREACHABLE, a POST not tried again, a GET given up early`, async () => {
    for (const [method, most] of [["POST", 1], ["PATCH", 1], ["GET", 3], ["DELETE", 3]] as const) {
      const { tries, error } = await ending(thrown, method);
      assert.equal(error.code, "NETWORK_UNREACHABLE", method);
      assert.equal(tries, most, method);
      assert.match(error.hint!, /^Nothing was sent\. /);
      assert.equal(error.retryable, true);
    }
  });
}

for (const [how, thrown] of Object.entries(OTHERS)) {
  Deno.test(`${how} is PROVIDER_UNAVAILABLE, and a POST may have been done`, async () => {
    const { error, tries } = await ending(thrown, "POST");
    assert.deepEqual([error.code, tries], ["PROVIDER_UNAVAILABLE", 1]);
    assert.match(error.hint!, /^The vendor may have acted/);
    assert.equal((await ending(thrown, "GET")).tries, 6);
  });
}

const CLIENT = fileURLToPath(new URL("../../../core/http/client.ts", import.meta.url));
const PROGRAM = `
const { httpClient } = await import(${JSON.stringify(CLIENT)});
const codes = [];
for (const method of ["GET", "POST"]) {
  await httpClient({ sleep: (ms, signal) => ms < 30000 ? Promise.resolve() : new Promise((_, no) => signal.addEventListener("abort", no)) })(
    new Request("https://no-such-host.invalid/x", { method }),
  ).catch((error) => codes.push(error.code));
}
console.log(codes.join(" "));
process.exit(0);
`;

for (
  const [name, command, why] of [
    ["Deno", [Deno.execPath(), "eval", "-q", "--ext=ts", PROGRAM], undefined],
    ["Bun", ["bun", "-e", PROGRAM], whyMissing("bun")],
  ] as const
) {
  testIf(why, `a name that does not resolve is told as that by the real ${name}`, async () => {
    const { stdout, stderr } = await runCommand("/", command);
    assert.equal(stdout.trim(), "NETWORK_UNREACHABLE NETWORK_UNREACHABLE", stderr);
  });
}
