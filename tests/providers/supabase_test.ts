import type { Provider } from "../../core/provider.ts";
import provider from "../../providers/database/supabase.ts";
import { testProvider } from "../conformance.ts";
import { NOTES, PROJECT, SKIP, supabaseEmulator } from "./_supabase.ts";

testProvider({ provider, emulator: supabaseEmulator(), options: { projectRef: PROJECT, withData: true }, skip: SKIP });

const schemaOnly: typeof provider = {
  ...provider,
  name: "supabase without data",
  capabilities: { ...provider.capabilities, copy: "schema-only" },
};
testProvider({
  provider: schemaOnly as Provider<unknown>,
  emulator: supabaseEmulator({ seed: NOTES }),
  options: { projectRef: PROJECT, connection: "direct" },
  skip: SKIP,
});
