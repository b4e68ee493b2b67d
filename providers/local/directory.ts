/**
 * A directory for databases that live in files: KuzuDB, DuckDB, LanceDB and similar. They lock their files while open,
 * and only their own code can copy a live one: writers must pause during a fork; a directory that changes meanwhile is
 * an error, never a torn copy.
 */
import * as v from "npm:valibot@1.5.0";
import { embeddedProviderWith, fillTree, isEmptyTree } from "../_shared/embedded.ts";

const options = v.strictObject({
  /** The creator of a directory without a parent: `new`, `"at once"`, or the application at `"first use"`. */
  make: v.optional(v.picklist(["at once", "first use"]), "at once"),
});
type Options = v.InferOutput<typeof options>;

export default embeddedProviderWith<Options>(options, {
  name: "directory",
  kind: "local",
  title: "Directories for databases that live in files",
  page: "databases.md#databases-that-live-in-files",
  type: "directory",
  isEmpty: isEmptyTree,
  fill: (context, partial, parent) => fillTree(context, partial, parent),
});
