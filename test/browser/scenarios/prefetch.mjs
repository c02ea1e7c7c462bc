// What a browser asks for unasked costs nothing, whatever the e-wallet may pay by itself.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { Reader, until } from '../lib.mjs';

const PREFETCHED = '/articles/library.html';
const RULES = JSON.stringify({
  prefetch: [{ source: 'list', urls: ['/articles/ferry.html'], eagerness: 'immediate' }],
  prerender: [{ source: 'list', urls: ['/articles/bakers.html'], eagerness: 'immediate' }],
});
// Every way a page has to make a browser ask for something without its reader.
const UNASKED = {
  '/articles/ferry.html': `<script type="speculationrules">${RULES}</script>`,
  '/articles/bakers.html': '',
  [PREFETCHED]: `<link rel="prefetch" href="${PREFETCHED}">`,
  '/articles/chess.html': '<link rel="preload" as="fetch" href="/articles/chess.html">',
  '/features/maps.html': '<img src="/features/maps.html" alt="">',
  '/features/tides.html': '<iframe src="/features/tides.html" title="A frame"></iframe>',
  '/features/lighthouse.html': "<script>fetch('/features/lighthouse.html')</script>",
};
const PAGE = `<!DOCTYPE html><html lang="en"><title>Unasked</title><h1>Unasked</h1>${Object.values(UNASKED).join('\n')}`;

export default async function play(world) {
  const [post] = world.news;
  fs.writeFileSync(path.join(post.docroot, 'unasked.html'), PAGE);
  const reader = await Reader.come(world, { javaScript: true });
  assert.equal(await reader.visit(post.url('/unasked.html')), 200);
  const asked = () => post.requests().filter((r) => r.target in UNASKED);
  const all = Object.keys(UNASKED);
  await until('all of it is asked for', () => all.every((target) => asked().some((r) => r.target === target)));
  assert.deepEqual([...new Set(asked().map((r) => r.status))], [402]);
  assert.equal(post.charged().length, 0);
  reader.blocked(/frame-ancestors 'none'/);  // nor does a paywall show itself in another page
  // The reader herself gets the paywall as well, not a page that was fetched before.
  assert.equal(await reader.visit(post.url(PREFETCHED)), 402);
  await reader.leave();
}
