/** A server in a process of its own, so that its memory can be measured. */
import { serveS3 } from "../../emulators/s3_local.ts";

const { endpoint, region, credentials, directory } = await serveS3({ buckets: ["big"] });
console.log(JSON.stringify({ endpoint, region, credentials, directory }));
