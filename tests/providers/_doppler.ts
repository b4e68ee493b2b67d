/** Doppler's emulator as the conformance suite wants it: full. */
import { createHash } from "node:crypto";
import type { Emulator, World } from "../conformance.ts";
import { Doppler } from "../emulators/doppler.ts";
import { serve } from "../emulators/serve.ts";
import type { Specification } from "../emulators/specification.ts";
import { apiWorld } from "./_vendor.ts";

export const CANARY = "canary-in-the-parent-0123456789";
const UNLIMITED = { reads: Infinity, secretReads: Infinity, writes: Infinity };

export function digest(value: unknown): string {
  return createHash("sha256").update(JSON.stringify(value)).digest("hex");
}

/** What applications see of a config; what is empty counts as not there. */
function contentOf(doppler: Doppler, name: string): string {
  const config = doppler.configs.find((one) => one.name === (name === "prod" ? "prd" : `${one.environment}_${name}`));
  return digest(Object.entries(doppler.valuesOf(config!)).filter(([, value]) => value !== "").sort());
}

export function dopplerEmulator(specification?: Specification): Emulator {
  return {
    worldsAtOnce: 4,
    async open(given) {
      const { credentials } = given;
      const doppler = new Doppler({
        project: "myapp",
        tokens: [credentials.DOPPLER_TOKEN!],
        limits: UNLIMITED,
        pageSize: 20,
        maxConfigs: 1_000,
      });
      const server = await serve(() => doppler);
      const root = doppler.config("prd")!;
      root.secrets.set("API_KEY", CANARY).set("DATABASE", `postgres://u:${CANARY}@h/d`).set("URL", "${DATABASE}?x=1");
      doppler.config("dev")!.secrets.set("API_KEY", `dev ${CANARY}`);
      for (const near of ["alic", "alice2", "alice-2", "alice_2", "kept-alice"]) {
        doppler.add(`prd_${near}`, "prd", { API_KEY: `${near} ${CANARY}` });
      }
      for (let i = 0; i < 15; i++) doppler.add(`stg_other-${i}`, "stg", {}); // more than a page
      const world: World = {
        ...apiWorld(server, given, specification),
        parent: "prod",
        titleOf: (env) => env,
        things: () =>
          Promise.resolve(
            new Map(doppler.configs.map(({ name, slug, environment, root, locked, secrets }) => [
              `${name}:${slug}`,
              digest([environment, root, locked, [...secrets]]),
            ])),
          ),
        contentOf: (name) => Promise.resolve(contentOf(doppler, name)),
        change(name) {
          doppler.config(`prd_${name}`)!.secrets.set("MINE", "1").delete("API_KEY");
          return Promise.resolve();
        },
        placeForeign: (name, { isEmpty } = {}) =>
          Promise.resolve(void doppler.add(`prd_${name}`, "prd", isEmpty ? {} : { THEIRS: CANARY })),
        canaries: () => [CANARY, ...doppler.tokens.map(({ key }) => key)],
        close: server.close,
      };
      return world;
    },
  };
}
