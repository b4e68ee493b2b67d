/**
 * A bucket on this machine: a directory of objects. A fork is a copy of it, cloned where the file system can.
 */
import { embeddedProvider, fillTree } from "../_embedded.ts";

export default embeddedProvider({
  name: "local",
  kind: "storage",
  type: "directory",
  fill: fillTree,
  outputs: (path, name) => ({ BUCKET_NAME: name, BUCKET_PATH: path }),
});
