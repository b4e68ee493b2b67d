import provider from "../../providers/storage/s3.ts";
import { testProvider } from "../conformance.ts";
import { awsEmulator } from "./_s3.ts";

for (const mark of ["tags", "object"] as const) {
  testProvider({ provider, emulator: awsEmulator(mark), options: { mark } });
}
