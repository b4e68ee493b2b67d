import provider from "../../providers/database/neon.ts";
import { testProvider } from "../conformance.ts";
import { neonEmulator, server } from "./_neon.ts";

if (server !== undefined) {
  testProvider({ provider, emulator: neonEmulator(), options: { projectId: "late-frost-12345" } });
}
