import { debianBinaries, startServer } from "../../emulators/postgres_server.ts";
import { startSupabase } from "../../emulators/supabase.ts";
import { type Case, NOTES } from "./_case.ts";

const debian = debianBinaries();
const whyNoDebian = "reason" in debian ? debian.reason : undefined;

export const cases: readonly Case[] = [
  {
    kind: "database",
    name: "supabase",
    missing: whyNoDebian,
    async open(defer) {
      const server = defer(await startServer((debian as { bin: string }).bin));
      const projectRef = "abcdefghijklmnopqrst";
      const [token, password] = ["sbp_0123456789abcdef0123456789abcdef01234567", "canary-project-password"];
      const supabase = defer(await startSupabase({ server, projectRef, tokens: { [token]: undefined }, password }));
      await supabase.fill(NOTES);
      const env = { SUPABASE_ACCESS_TOKEN: token, SUPABASE_DB_PASSWORD: password };
      return { options: { projectRef, withData: true, endpoint: supabase.url }, env };
    },
  },
];
