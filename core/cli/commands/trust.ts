/** `trust`: what the repository names, shown, and let in. */
import type { Answer, Call } from "../command_line.ts";
import { openProject } from "../../project/open_project.ts";
import { cwd } from "../../system/host.ts";
import { itemsText, itemTitle } from "../../project/trust_text.ts";
import { ask, contentsOf, isSamePlace, keep, look, notTrusted, revoke, untrusted } from "../../project/trust_store.ts";

/** `trust` */
export async function runTrust({ flags, io }: Call): Promise<Answer> {
  const project = await openProject(cwd(), { init: false, catalog: io.catalog });
  if (flags.revoke) {
    const count = flags["dry-run"]
      ? (await look(project, io.catalog, { reach: "registry", mayFetch: false })).store.trusted.length
      : await revoke(project);
    const text = count === 0 ? "Nothing of this project was trusted" : "Nothing of this project is trusted any more";
    return {
      data: { project: project.name, revoked: count, ...(flags["dry-run"] ? { dryRun: true } : {}) },
      text: () => flags["dry-run"] ? `Would take back ${count}` : text,
    };
  }
  const whole = await look(project, io.catalog);
  const { items, hash, store } = whole;
  const news = untrusted(whole);
  const data = {
    project: project.name,
    repository: store.repository,
    ...(items.length === 0 ? {} : { hash }),
    items: items.map((item) => ({
      ...item,
      state: !news.includes(item) ? "trusted" : store.trusted.some((one) => isSamePlace(one, item)) ? "changed" : "new",
    })),
    ...(flags["dry-run"] ? { dryRun: true } : {}),
  };
  if (items.length === 0) return { data, text: () => `Nothing to trust: ${project.name} names no code and no host` };
  if (flags["dry-run"]) {
    const contents = await Promise.all(
      items.map((item) => contentsOf({ ...whole, store: { ...store, trusted: [] } }, item)),
    );
    const title = `${project.name} names:`;
    return {
      data,
      text: () => [itemsText(items, title), ...contents.filter(Boolean), `FORKSTACK_TRUST=${hash}`].join("\n"),
    };
  }
  if (news.length === 0) return { data, text: () => `Trusted already: ${items.map(itemTitle).join("; ")}` };
  if (!flags.yes) {
    if (!io.mayAsk()) throw notTrusted(whole);
    await ask(whole, io);
  } else if (!flags.json) io.say(itemsText(news, "Trusted from now on:"));
  await keep(project, whole);
  return { data, text: () => `Trusted: ${items.map(itemTitle).join("; ")}` };
}
