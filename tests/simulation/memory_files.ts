/** The files of the one machine on which all simulated processes run, as far as the engine touches files. */
import { sameBytes } from "../../core/system/disk.ts";
import type { Files } from "../../core/system/files.ts";

/** Files that are only remembered; what the engine's own code does not use is refused. */
export function memoryFiles(given: Readonly<Record<string, string>>): Files {
  const texts = new Map(Object.entries(given));
  const bytesOf = (path: string) => {
    const text = texts.get(path);
    return text === undefined ? undefined : new TextEncoder().encode(text);
  };
  const refuse = () => Promise.reject(new TypeError("the simulated machine has no such operation"));
  return {
    read: (path) => Promise.resolve(texts.get(path)),
    list: (path) =>
      Promise.resolve(
        [...texts.keys()].filter((one) => one.startsWith(`${path}/`)).map((one) => one.slice(path.length + 1))
          .filter((name) => !name.includes("/")).sort(),
      ),
    readBytes: (path) => Promise.resolve(bytesOf(path)),
    write: (path, content) =>
      Promise.resolve(void texts.set(path, typeof content === "string" ? content : new TextDecoder().decode(content))),
    async swap(from, to, expected) {
      const seen = bytesOf(to);
      if (!sameBytes(seen, expected)) return { isDone: false, seen };
      await this.replace(from, to);
      return { isDone: true, seen };
    },
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
