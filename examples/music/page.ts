/**
 * The one page. Its colour is derived from the environment's name, so that two of them are never mistaken.
 */
import type { Album, Track } from "./library.ts";
import { Html, html } from "./web.ts";

/** One line of the file in the environment's local directory. */
export interface Change {
  readonly at: string; // RFC 3339, UTC
  readonly env: string;
  readonly track: string;
  readonly album: string;
}

/** All that the page shows. */
export interface Home {
  readonly stats: {
    readonly env: string;
    readonly database: string;
    readonly bucket: string;
    readonly artists: number;
    readonly albums: number;
    readonly tracks: number;
    readonly covers: number;
  };
  readonly search: string;
  readonly total: number;
  readonly albums: readonly Album[];
  readonly found: { readonly total: number; readonly tracks: readonly Track[] } | undefined;
  readonly withCover: ReadonlySet<number>;
  readonly changes: readonly Change[];
}

const NOTHING = new Html("");

export function homePage({ stats, search, total, albums, found, withCover, changes }: Home): Html {
  return html`
    <!DOCTYPE html>
    <html lang="en">
      <meta charset="utf-8">
      <meta name="viewport" content="width=device-width, initial-scale=1">
      <title>music [${stats.env}]</title>
      <style>${STYLE}</style>
      <body style="--hue: ${hueOf(stats.env)}">
        <header>
          <h1>music</h1>
          <p class="env">environment <strong>${stats.env}</strong></p>
          <p class="where">${stats.database} · ${stats.bucket}</p>
        </header>
        <main>
      <dl>${[
        count(stats.artists, "artists"),
        count(stats.albums, "albums"),
        count(stats.tracks, "tracks"),
        count(stats.covers, "covers"),
      ]}</dl>
      <form role="search">
        <input type="search" name="q" value="${search}" maxlength="100" placeholder="Artist, album or track"
          aria-label="Search">
        <button>Search</button>
      </form>
      ${found === undefined ? NOTHING : tracksSection(found, search)}
      <section>
        <h2>Albums <small>${shown(albums.length, total)}</small></h2>
        <ul class="albums">${albums.map((album) => albumCard(album, withCover.has(album.id)))}</ul>
      </section>
      ${changes.length === 0 ? NOTHING : changesSection(changes)}
        </main>
        </html>
  `;
}

function count(number: number, name: string): Html {
  return html`
    <div>
      <dd>${number.toLocaleString("en")}</dd>
      <dt>${name}</dt>
    </div>
  `;
}

function shown(some: number, all: number): string {
  return some === all ? String(all) : `${some} of ${all.toLocaleString("en")}, search to see others`;
}

function albumCard({ id, title, artist, tracks }: Album, hasCover: boolean): Html {
  const cover = hasCover
    ? html`<img src="/covers/${id}" alt="" loading="lazy">`
    : html`<span class="cover" style="--turn: ${(id * 47) % 360}deg">${artist.slice(0, 1)}</span>`;
  return html`
    <li>${cover}<div><b>${title}</b><i>${artist}</i><small>${tracks} ${tracks === 1
      ? "track"
      : "tracks"}</small></div></li>
  `;
}

function tracksSection({ total, tracks }: { total: number; tracks: readonly Track[] }, search: string): Html {
  return html`
    <section>
      <h2>Tracks for “${search}” <small>${shown(tracks.length, total)}</small></h2>
      <ol>${tracks.map(({ name, artist, album, milliseconds }) =>
        html`
          <li><b>${name}</b> <i>${artist ?? ""}</i> <small>${album ?? ""}, ${duration(milliseconds)}</small></li>
        `
      )}</ol>
    </section>
  `;
}

function changesSection(changes: readonly Change[]): Html {
  return html`
    <section>
      <h2>Last added</h2>
      <ol>${changes.map(({ at, env, track, album }) =>
        html`
          <li><b>${track}</b> <i>${album}</i> <small>in ${env}, ${at.slice(0, 16).replace("T", " ")}</small></li>
        `
      )}</ol>
    </section>
  `;
}

function duration(milliseconds: number): string {
  const seconds = Math.round(milliseconds / 1000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

function hueOf(name: string): number {
  return [...name].reduce((hash, character) => (hash * 31 + character.codePointAt(0)!) % 360, 7);
}

const STYLE = new Html(`
:root { color-scheme: light dark; --ink: light-dark(#1c1b22, #eceaf2); --paper: light-dark(#faf9f7, #16151a);
  --card: light-dark(#fff, #201f26); --line: light-dark(#e5e2dc, #34323d); --faint: light-dark(#6b6873, #a09da9) }
* { box-sizing: border-box; margin: 0 }
body { background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif }
header { background: linear-gradient(120deg, hsl(var(--hue) 60% 30%), hsl(calc(var(--hue) + 50) 55% 38%)); color: #fff;
  padding: 1.5rem max(1.5rem, calc(50vw - 33rem)); display: flex; flex-wrap: wrap; align-items: baseline; gap: .5rem 1.5rem }
h1 { font-size: 1.75rem; letter-spacing: -.03em }
.env { font-size: 1.1rem } .env strong { background: #fff; color: hsl(var(--hue) 60% 28%); border-radius: 99px; padding: .1em .7em }
.where { margin-left: auto; opacity: .85; font: .85rem ui-monospace, monospace }
main { max-width: 69rem; margin: auto; padding: 1.5rem }
dl { display: flex; flex-wrap: wrap; gap: .5rem 2.5rem } dd { font-size: 1.75rem; font-weight: 650; line-height: 1.2 }
dt, small, i { color: var(--faint); font-style: normal; font-size: .85rem; font-weight: 400 }
form { display: flex; gap: .5rem; margin: 1.5rem 0 }
input, button { font: inherit; padding: .6rem .9rem; border-radius: .6rem; border: 1px solid var(--line) }
input { flex: 1; min-width: 0; background: var(--card); color: inherit }
button { background: hsl(var(--hue) 60% 32%); color: #fff; border: 0; cursor: pointer }
h2 { font-size: 1.1rem; margin: 1.5rem 0 .75rem }
.albums { list-style: none; padding: 0; display: grid; gap: .75rem; grid-template-columns: repeat(auto-fill, minmax(19rem, 1fr)) }
.albums li { display: flex; gap: .85rem; align-items: center; background: var(--card); border: 1px solid var(--line);
  border-radius: .8rem; padding: .6rem; overflow: hidden }
.albums div { min-width: 0 } .albums b, .albums i { display: block; overflow: hidden; text-overflow: ellipsis; white-space: nowrap }
img, .cover { width: 3.75rem; height: 3.75rem; border-radius: .5rem; flex: none; object-fit: cover }
.cover { display: grid; place-items: center; font-size: 1.5rem; font-weight: 650; color: #fff;
  background: linear-gradient(135deg, hsl(var(--turn) 45% 45%), hsl(calc(var(--turn) + 60deg) 50% 32%)) }
ol { padding-left: 1.6rem }
`);
