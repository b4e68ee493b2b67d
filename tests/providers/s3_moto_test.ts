/** The suite of `s3` on a real server of others, which answers as Amazon does in us-east-1. */
import { testProgram } from "./_s3_servers.ts";

await testProgram("moto", {
  options: { mark: "object" }, // it keeps the tags of a deleted bucket for the next one of its name
});
