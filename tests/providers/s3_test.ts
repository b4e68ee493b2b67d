import provider from "../../providers/storage/s3.ts";
import { testProvider } from "../conformance.ts";
import { FEW_FAULTS } from "../faults.ts";
import { awsEmulator } from "./_s3.ts";

testProvider({ provider, emulator: awsEmulator("tags"), options: { mark: "tags" } });
testProvider({ provider, emulator: awsEmulator("object"), options: { mark: "object" }, faults: FEW_FAULTS }, {
  isVariant: true, // r2 marks by an object too, and has the whole suite
});
