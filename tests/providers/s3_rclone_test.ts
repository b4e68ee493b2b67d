/** The suite of `s3` on a real server of others, which has neither tags of buckets nor versions. */
import { testProgram } from "./_s3_servers.ts";

await testProgram("rclone", {
  lacksVersions: true,
  lacksCopiesOfParts: true,
  skip: {
    "delete() broken at any call can be run again":
      "it tells the last change of a bucket as its creation, by which one is known whose mark is removed already",
  },
});
