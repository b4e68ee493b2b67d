/**
 * Secrets in one file an environment, mode 0600. `mod.ts` reads and writes the values itself.
 */
import { embeddedProvider } from "../_embedded.ts";

export default embeddedProvider({
  name: "env-file",
  kind: "secrets",
  type: "file",
  copy: "full-copy",
  companions: [".lock"], // of a setSecret that died
  async fill(context, partial, parent) {
    const text = parent === undefined ? undefined : await context.files.read(parent);
    await context.files.write(partial, text ?? ""); // written, not copied: the parent's file may have a wider mode
    return text === undefined ? "empty" : "full-copy";
  },
  outputs: (path) => ({ SECRETS_FILE: path }),
});
