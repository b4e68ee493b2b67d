/** Time of a `new` of three resources at vendors, compared with the same calls one after the other. */
import { mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { loadResources, openProject } from "../../core/project/open_project.ts";
import { httpClient } from "../../core/http/client.ts";
import { startDoppler } from "../../tests/emulators/doppler.ts";
import { serveTigris } from "../../tests/emulators/tigris.ts";
import { startTurso } from "../../tests/emulators/turso.ts";
import { put } from "../../tests/providers/_s3.ts";
import { seedFile } from "../../tests/providers/_turso.ts";
import { engineIn, sleep, timeOfNew, worldWith } from "./engine.ts";
import { type Benchmark, median, shown } from "./measure.ts";
import { CATALOG } from "../../providers/mod.ts";

const CALL_MS = 100;
const ROUNDS = 5;

export const vendorBenchmarks: readonly Benchmark[] = [{
  name: "vendors: `new` at Turso, Tigris and Doppler, each call 100 ms",
  async run(work) {
    const root = mkdtempSync(join(work, "vendors-"));
    const token = "bench-token";
    await using turso = await startTurso({ organization: "acme", tokens: { [token]: undefined } });
    await using tigris = await serveTigris({ settling: 0 });
    await using doppler = await startDoppler({ project: "bench", tokens: [token] });
    const seed = join(root, "seed.db");
    seedFile(seed);
    turso.add("bench", seed);
    await put(tigris.directory, "bench-bucket-prod", { "covers/1.jpg": "one" });
    tigris.kinds.set("bench-bucket-prod", {});
    const { credentials: { accessKeyId, secretAccessKey } } = tigris;
    const config = {
      project: "bench",
      database: { provider: "turso", organization: "acme", endpoint: turso.url },
      storage: { provider: "tigris", endpoint: tigris.endpoint, iamEndpoint: tigris.endpoint },
      secrets: { provider: "doppler", project: "bench", endpoint: doppler.url },
    };
    const variables: Readonly<Record<string, string>> = {
      TURSO_API_TOKEN: token,
      DOPPLER_TOKEN: token,
      AWS_ACCESS_KEY_ID: accessKeyId,
      AWS_SECRET_ACCESS_KEY: secretAccessKey,
    };
    const send = httpClient();
    const slowly = async (request: Request) => {
      await sleep(CALL_MS);
      return await send(request);
    };
    let last: Promise<unknown> = Promise.resolve();
    const oneByOne = (request: Request) => {
      const answer = last.then(() => slowly(request));
      last = answer.catch(() => {});
      return answer;
    };
    const times: [number[], number[]] = [[], []];
    writeFileSync(join(root, "forkstack.json"), JSON.stringify(config));
    const resources = (await loadResources(await openProject(root, { init: false, catalog: CATALOG }), {
      catalog: CATALOG,
      reach: "nothing",
    })).resources;
    for (let round = -1; round < ROUNDS; round++) {
      for (const [at, fetch] of [slowly, oneByOne].entries()) {
        const world = worldWith({ fetch, read: (name) => variables[name] });
        const engine = await engineIn(root, { resources, world, config });
        const took = await timeOfNew(engine);
        engine.registry.close();
        if (round >= 0) times[at]!.push(took);
      }
    }
    const [ours, sequential] = times.map(median) as [number, number];
    return [{
      name: this.name,
      ours: `${shown(ours)}, side by side`,
      against: `the same calls one after the other ${shown(sequential)}`,
      ratio: ours / sequential,
      limit: { atMost: 0.65 }, // the longest chain of calls is Tigris's,
    }];
  },
}];
