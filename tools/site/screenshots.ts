/** `deno task site:screenshots`: pictures of three pages of `dist/site` in headless Chromium, light and dark, to be looked at. */
import { execFile } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join } from "node:path";
import { promisify } from "node:util";
import { OUTPUT } from "./main.ts";

const PAGES = ["index", "choosing-a-stack", "troubleshooting"];
const TYPES: Readonly<Record<string, string>> = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css" };

const server = createServer(({ url }, response) => {
  const path = new URL(url!, "http://site").pathname;
  try {
    const bytes = readFileSync(join(OUTPUT, path)); // to this machine alone, for as long as the pictures take
    response.setHeader("content-type", TYPES[extname(path)] ?? "application/octet-stream").end(bytes);
  } catch {
    response.writeHead(404).end();
  }
});
await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
const { port } = server.address() as AddressInfo;
const directory = join(OUTPUT, "../screenshots");
mkdirSync(directory, { recursive: true });
for (const page of PAGES) {
  for (const mode of ["light", "dark"]) {
    const picture = join(directory, `${page}-${mode}.png`);
    const flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1280,1000"];
    const scheme = mode === "dark" ? ["--blink-settings=preferredColorScheme=0"] : [];
    const address = `http://127.0.0.1:${port}/${page}.html`;
    await promisify(execFile)("chromium", [
      ...flags,
      ...scheme,
      "--virtual-time-budget=5000",
      `--screenshot=${picture}`,
      address,
    ]);
    console.log(picture);
  }
}
server.close();
