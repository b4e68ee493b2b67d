// Lets Bun import by URL: `bun --preload ./bun_http_plugin.ts app.ts`, or `preload` in bunfig.toml.
const load = async ({ path }: { path: string }, scheme: string) => {
  const answer = await fetch(`${scheme}:${path}`);
  if (!answer.ok) throw new Error(`GET ${scheme}:${path}: ${answer.status}`);
  return { contents: await answer.text(), loader: "ts" };
};
// @ts-ignore: `Bun` is there in Bun alone
Bun.plugin({
  name: "http",
  // deno-lint-ignore no-explicit-any -- Bun's own types are not loaded here
  setup(build: any) {
    for (const scheme of ["http", "https"]) {
      build.onLoad({ filter: /.*/, namespace: scheme }, (it: { path: string }) => load(it, scheme));
    }
  },
});
