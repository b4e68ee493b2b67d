import provider from "../../providers/database/mysql.ts";
import { testProvider } from "../conformance.ts";
import { emulator, shared } from "./_mysql.ts";

const skip = {
  "execute() runs a whole script on the fork, or none of it": "MySQL commits at each change of the schema",
};

if (shared !== undefined) {
  testProvider({ provider, emulator: emulator(shared, { strategy: "copy" }), options: { strategy: "copy" }, skip });
}
