/**
 * A bucket on this machine: a directory of files that an application writes directly, and the objects that came through
 * the S3 server of `forkstack serve` (core/s3/). A fork copies the former, cloned where the file system can, and links
 * the latter: the server never writes to an existing file. See docs/storage.md.
 */
import * as v from "npm:valibot@1.5.0";
import { sweepTemporary } from "../../core/system/files.ts";
import { OBJECTS, STORE } from "../../core/s3/layout.ts";
import { embeddedProviderWith, fillTree, isEmptyTree } from "../_shared/embedded.ts";
import { DEFAULT_PORT, keyPath } from "../_shared/embedded_outputs.ts";

const options = v.strictObject({
  port: v.optional(v.pipe(
    v.number(),
    v.integer(),
    v.minValue(1),
    v.maxValue(65_535),
    v.description(
      `The port on 127.0.0.1 at which \`forkstack serve\` serves the buckets over S3; ${DEFAULT_PORT} if not given`,
    ),
  )),
});

const embedded = embeddedProviderWith(options, {
  name: "local",
  kind: "storage",
  title: "Buckets on this machine",
  page: "storage.md#local",
  type: "directory",
  isEmpty: isEmptyTree,
  fill: (context, partial, parent) => fillTree(context, partial, parent, { directory: STORE, shared: OBJECTS }),
});

const provider: typeof embedded = {
  ...embedded,
  async delete(context, fork, scope) {
    const state = await embedded.delete(context, fork, scope);
    await sweepTemporary(context.files, keyPath(scope.root)); // of a run that died as it made the key
    return state;
  },
};
export default provider;
