// An e-wallet that pays without asking does so where she follows a link of the newspaper, and nowhere else: an address
// that is typed, by her or by another program for her, a redirect, a link of another site and a page that goes on by
// itself get the paywall, and there one click pays.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { EWallet, write } from '../ewallet.mjs';
import { Reader } from '../lib.mjs';

const BAKERS = '/articles/bakers.html';
const LIBRARY = '/articles/library.html';
const CHESS = '/articles/chess.html';

/** /on/NAME of `from` sends on to a page. */
function sendOn(from, name, url) {
  const directory = path.join(from.docroot, 'on');
  fs.mkdirSync(directory, { recursive: true });
  fs.appendFileSync(path.join(directory, '.htaccess'), `Redirect 302 /on/${name} ${url}\n`);
}

const links = (all) => Object.entries(all).map(([name, url]) => `<p><a href="${url}">${name}</a></p>`).join('');

async function play(world, kind, paper, other) {
  const reader = await Reader.come(world);
  const wallet = new EWallet(reader, kind);
  const { page } = reader;
  await wallet.signUp(paper, '/articles/ferry.html', '1.00');
  assert.equal(await wallet.fetch('2 ¢'), 200);
  assert.equal(await wallet.confirm({ automatic: true }), 200);
  await wallet.reads(paper, '/articles/ferry.html');

  sendOn(paper, `${kind}-typed`, BAKERS);
  sendOn(paper, `${kind}-here`, paper.url(CHESS));
  sendOn(other, `${kind}-there`, paper.url(BAKERS));
  write(other, `/${kind}.html`, 'Elsewhere', links({ Straight: paper.url(BAKERS), 'By here': paper.url(`/on/${kind}-typed`),
    'Sent on': other.url(`/on/${kind}-there`) }));
  write(paper, `/${kind}.html`, 'Here', links({ Around: other.url(`/on/${kind}-there`), 'Moved here': `/on/${kind}-here`,
    'Library': LIBRARY }));
  write(paper, `/${kind}-by-itself.html`, 'By itself', `<meta http-equiv="refresh" content="0;url=${BAKERS}">`);

  const asks = async (how, status) => {
    assert.equal(status, 402, how);
    assert.equal(page.url(), paper.url(BAKERS), how);
    assert.equal(await reader.get('button', 'Read for 2 ¢').count(), 1, how);
    await paper.charged(1);
  };
  const typed = [paper.url(BAKERS), paper.url(`/on/${kind}-typed`), other.url(`/on/${kind}-there`)];
  for (const url of typed) await asks(`typed ${url}`, await reader.visit(url));
  await asks('typed and reloaded', (await page.reload()).status());
  for (const name of ['Straight', 'By here', 'Sent on']) {
    await reader.visit(other.url(`/${kind}.html`));
    await asks(`elsewhere ${name}`, await reader.walk(name));
  }
  await asks('from elsewhere and reloaded', (await page.reload()).status());
  await reader.visit(paper.url(`/${kind}.html`));
  await asks('around', await reader.walk('Around'));
  await reader.visit(paper.url(`/${kind}.html`));
  const [answer] = await Promise.all([page.waitForResponse(paper.url(BAKERS)), page.goto(paper.url(`/${kind}-by-itself.html`)),
    page.waitForURL(paper.url(BAKERS))]);
  await asks('by itself', answer.status());
  if (kind === 'server') await reader.shot('typed');

  // One click there, and it is typed again for nothing.
  assert.equal(await reader.follow('button', 'Read for 2 ¢'), 200);
  await wallet.reads(paper, BAKERS);
  for (const url of typed) {
    assert.equal(await reader.visit(url), 200);
    await wallet.reads(paper, BAKERS);
  }

  // Her own link, sent on by the newspaper itself, and into a tab behind.
  await reader.visit(paper.url(`/${kind}.html`));
  assert.equal(await reader.walk('Moved here'), 200);
  await wallet.reads(paper, CHESS);
  await reader.visit(paper.url(`/${kind}.html`));
  const behind = await reader.walkAside('Library');
  await behind.getByText('Soil is brought up').waitFor();
  assert.deepEqual(await paper.charged(4), ['/articles/ferry.html', BAKERS, CHESS, LIBRARY].sort());
  await reader.leave();
}

export default async function typed(world) {
  const [post, courier] = world.news;
  await play(world, 'server', post, courier);
  await play(world, 'cookie', courier, post);
}
