/** Secrets in one file per environment, mode 0600. `mod.ts` reads and writes the values itself. */
import * as v from "npm:valibot@1.5.0";
import { Secret } from "../../core/secret.ts";
import { editSecretsFile, envFileSecrets, parseSecretsFile } from "../../mod.ts";
import { embeddedProviderWith } from "../_shared/embedded.ts";
import { embeddedPlace } from "../_shared/embedded_look.ts";
import { type Policy, policyChanges, policyOptions } from "../_shared/secret_policy.ts";

const options = v.strictObject(policyOptions);

export default embeddedProviderWith(options, {
  name: "env-file",
  kind: "secrets",
  title: "Files on this machine",
  page: "secrets.md#env-file",
  type: "file",
  copy: "full-copy",
  companions: [".lock"], // of a setSecret that died
  async fill(context, partial, parent, scope) {
    const text = parent === undefined ? undefined : await context.files.read(parent);
    const parents = parseSecretsFile(text ?? "");
    const given = scope.options as Policy;
    // With --empty, nothing is there that an override could come from.
    const override = Object.entries(given.override ?? {});
    const plain = Object.fromEntries(override.filter(([, by]) => parent !== undefined || typeof by === "string"));
    const policy = { ...given, override: plain };
    const changes = policyChanges(policy, parents, String, { provider: "env-file", resource: scope.resource });
    // Written, not copied: the parent's file may have a wider mode.
    await context.files.write(partial, editSecretsFile(text ?? "", changes));
    return text === undefined ? "empty" : "full-copy";
  },
  secrets: {
    async read(_context, held, scope) {
      const all = await envFileSecrets(embeddedPlace("secrets", scope, held.name)).all();
      return Object.fromEntries(Object.entries(all).map(([key, value]) => [key, new Secret(value)]));
    },
    async write(_context, held, scope, changes) {
      const plain = Object.entries(changes).map(([key, value]) => [key, value?.reveal() ?? null]);
      await envFileSecrets(embeddedPlace("secrets", scope, held.name)).write(Object.fromEntries(plain));
    },
  },
});
