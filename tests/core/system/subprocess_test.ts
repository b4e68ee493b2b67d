import assert from "node:assert/strict";
import { pipe, type PipeFailure } from "../../../core/system/subprocess.ts";

const SIGNAL = new AbortController().signal;
const sh = (script: string) => ({ command: "sh", args: ["-c", script], env: {} });
const absent = { command: "no-such-program", args: [], env: {} };

const CASES: Readonly<Record<string, [Parameters<typeof pipe>[0], Partial<PipeFailure> | undefined]>> = {
  "both end well": [[sh("head -c 3000000 /dev/zero"), sh('test "$(wc -c)" -eq 3000000')], undefined],
  "the second leaves early": [[sh("exec head -c 30000000 /dev/zero"), sh("exit 3")], { command: "sh", status: 3 }],
  "the second fails, and the first tells it by a number": [
    [sh("echo 'Got errno 32 on write' >&2; exit 5"), sh("echo why >&2; exit 1")],
    { status: 1, stderr: "why\n" },
  ],
  "the first fails, the second for its sake": [
    [sh("echo oops >&2; exit 2"), sh("cat; echo 'end of file' >&2; exit 1")],
    { status: 2, stderr: "oops\n" },
  ],
  "there is no first": [[absent, sh("cat")], { command: "no-such-program", status: undefined }],
  "there is no second": [[sh("echo x"), absent], { command: "no-such-program", status: undefined }],
};

for (const [name, [two, expected]] of Object.entries(CASES)) {
  Deno.test(`pipe(): ${name}`, async () => {
    const failed = await pipe(two, SIGNAL);
    assert.deepEqual(failed && { ...failed, ...expected }, failed);
    assert.equal(failed === undefined, expected === undefined);
  });
}

Deno.test("pipe(): an abort ends both", async () => {
  const control = new AbortController();
  const going = pipe([sh("exec sleep 60"), sh("exec cat")], control.signal);
  control.abort();
  assert.notEqual(await going, undefined);
});
