// What a browser asks for unasked costs nothing, whatever the e-wallet may pay by itself.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { EWallet, morePages } from '../ewallet.mjs';
import { Reader } from '../lib.mjs';
import { until } from '../until.mjs';

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

// With an e-wallet that pays by itself, and without one.
async function unasked(post, reader, charged) {
  const before = post.requests().length;
  assert.equal(await reader.visit(post.url('/unasked.html')), 200);
  const asked = () => post.requests().slice(before).filter((r) => r.target in UNASKED);
  const all = Object.keys(UNASKED);
  await until('all of it is asked for', () => all.every((target) => asked().some((r) => r.target === target)));
  assert.deepEqual([...new Set(asked().map((r) => r.status))], [402]);
  await post.charged(charged);
  reader.blocked(/frame-ancestors 'none'/);  // nor does a paywall show itself in another page
}

export default async function play(world) {
  const [post] = world.news;
  fs.writeFileSync(path.join(post.docroot, 'unasked.html'), PAGE);
  const reader = await Reader.come(world, { javaScript: true });
  await unasked(post, reader, 0);
  // The reader herself gets the paywall as well, not a page that was fetched before.
  assert.equal(await reader.visit(post.url(PREFETCHED)), 402);

  const wallet = new EWallet(reader, 'server');
  const [door] = morePages(post, 'door', 1);
  await wallet.signUp(post, door, '1.00');
  assert.equal(await wallet.fetch('2 ¢'), 200);
  assert.equal(await wallet.confirm(), 200);
  await unasked(post, reader, 1);
  // Where she follows a link herself it is paid, and it is not the paywall that was fetched before.
  for (const target of [PREFETCHED, '/articles/bakers.html']) {
    assert.equal(await wallet.open(post, target), 200);
    await wallet.reads(post, target);
  }
  await reader.leave();
}
