/** The suite of `s3` on a server that nobody here wrote: `npm:s3rver`, whose buckets take no tags. */
import provider from "../../providers/storage/s3.ts";
import { testProvider, WITHOUT_FAULTS } from "../conformance.ts";
import { startS3rver } from "../emulators/s3rver.ts";
import { FEW_FAULTS } from "../faults.ts";
import { sized } from "../sizes.ts";
import { clientOf, isolation, OBJECTS, PARENT, shopOf } from "./_s3.ts";
import { fill, serverEmulator } from "./_s3_servers.ts";

/** It decodes what a copy is made of twice, and so does not find a key with `%` or `+`. */
const HELD = Object.fromEntries(Object.entries(OBJECTS).map(([key, body]) => [key.replace(/[+%]/g, ""), body]));

// Our own server bears the faults in the gate, in s3_test.ts; this one takes five times as long for each of its answers.
testProvider({ provider, emulator: serverEmulator(startS3rver, { held: HELD }), faults: FEW_FAULTS }, {
  only: sized({ gate: WITHOUT_FAULTS, full: /^/ }),
});

Deno.test("s3: on s3rver too, neither parent nor fork sees what is written to the other", async () => {
  await using server = await startS3rver();
  await fill(clientOf(server), PARENT, HELD);
  const { accessKeyId: AWS_ACCESS_KEY_ID, secretAccessKey: AWS_SECRET_ACCESS_KEY } = server.credentials;
  const options = { endpoint: server.endpoint };
  await isolation(shopOf(provider, { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY }, options), clientOf(server));
});
