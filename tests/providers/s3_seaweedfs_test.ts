/** The suite of `s3` on a real server of others. */
import { testProgram } from "./_s3_servers.ts";

await testProgram("SeaweedFS");
