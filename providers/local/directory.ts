/**
 * A directory for databases that live in files: KuzuDB, DuckDB, LanceDB and their like. They lock their files while
 * open, and only their own code knows how to copy a live one: what writes there has to pause during a fork, and a
 * directory that changes meanwhile is an error, never a torn copy.
 */
import { embeddedProvider, fillTree } from "../_embedded.ts";

export default embeddedProvider({
  name: "directory",
  kind: "local",
  type: "directory",
  fill: (context, partial, parent) => fillTree(context, partial, parent),
  outputs: (path) => ({ LOCAL_PATH: path }),
});
