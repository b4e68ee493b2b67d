/** The files of the one machine on which all simulated processes run, as far as the engine touches files. */
import type { Files } from "../../core/files.ts";

/** Files that are only remembered; what the engine's own code does not use is refused. */
export function memoryFiles(given: Readonly<Record<string, string>>): Files {
  const texts = new Map(Object.entries(given));
  const refuse = () => Promise.reject(new TypeError("the simulated machine has no such operation"));
  return {
    read: (path) => Promise.resolve(texts.get(path)),
    list: (path) =>
      Promise.resolve(
        [...texts.keys()].filter((one) => one.startsWith(`${path}/`)).map((one) => one.slice(path.length + 1))
          .filter((name) => !name.includes("/")).sort(),
      ),
    write: (path, text) => Promise.resolve(void texts.set(path, text)),
    replace(from, to) {
      const text = texts.get(from);
      if (text === undefined) return Promise.reject(Object.assign(new Error(`ENOENT: ${from}`), { code: "ENOENT" }));
      texts.delete(from);
      texts.set(to, text);
      return Promise.resolve();
    },
    remove: (path) => Promise.resolve(void texts.delete(path)),
    stat: (path) => {
      const text = texts.get(path);
      return Promise.resolve(text === undefined ? undefined : { type: "file", sizeBytes: text.length, identity: path });
    },
    real: (path) => Promise.resolve(path),
    fingerprint: refuse,
    makeDirectory: refuse,
    copy: refuse,
    share: refuse,
    publish: refuse,
  };
}
