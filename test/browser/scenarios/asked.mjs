// Another computer, the same e-wallet: by the passphrase alone, without automatic payment, so that each page is asked
// for, by one click; then what the limits of page and day hold back.
import assert from 'node:assert/strict';
import { EWallet, morePages } from '../ewallet.mjs';
import { Reader } from '../lib.mjs';

async function play(world, kind, paper, other) {
  const home = await Reader.come(world);
  const first = new EWallet(home, kind);
  const phrase = await first.signUp(paper, '/articles/ferry.html', '1.00');
  assert.equal(await first.fetch('2 ¢'), 200);
  assert.equal(await first.confirm({ automatic: false, page: '0.05', day: '0.10' }), 200);
  await first.reads(paper, '/articles/ferry.html');

  // Elsewhere: seven words, and it is hers there as well, with the limits that she chose.
  const reader = await Reader.come(world);
  const wallet = new EWallet(reader, kind);
  assert.equal(await reader.visit(paper.url('/articles/bakers.html')), 402);
  assert.equal(await wallet.fetch('2 ¢'), 200);
  await reader.reads('Sign in');
  await reader.fill('Your passphrase, seven words', phrase);
  assert.equal(await reader.follow('button', 'Sign in'), 200);
  await wallet.reads(paper, '/articles/bakers.html');

  // Asked each time, and paid by one click each, at the very address that was asked for, query and fragment.
  const library = '/articles/library.html?from=a%26b&to=%C3%A9';
  const next = await reader.cost(async () => {
    assert.equal(await reader.visit(`${paper.url(library)}#garden`), 402);
    assert.equal(await reader.follow('button', 'Read for 2 ¢'), 200);
  });
  assert.equal(reader.page.url(), `${paper.url(library)}#garden`);
  await wallet.reads(paper, library);
  world.row(kind, 'next page, asked', next);
  assert.ok(next.clicks <= 1, 'a further page by one click');
  assert.equal(await reader.visit(paper.url('/articles/chess.html')), 402);
  await reader.shot('asked');

  // Two pages asked for in two tabs, clicked at once: each is paid once.
  const targets = morePages(paper, `${kind}-asked`, 2);
  const tabs = await Promise.all(targets.map(() => reader.context.newPage()));
  await Promise.all(tabs.map((page, i) => page.goto(paper.url(targets[i]))));
  await Promise.all(tabs.map((page) => page.getByRole('button', { name: 'Read for 2 ¢', exact: true }).click()));
  await Promise.all(tabs.map((page, i) => page.getByRole('heading', { name: `Note ${i + 1}`, exact: true }).waitFor()));
  for (const target of targets) await paper.charged(1, target);
  await Promise.all(tabs.map((page) => page.close()));

  // The day's limit is used up, as the site learns when it asks the broker; she may raise it there.
  assert.equal(await reader.visit(paper.url('/features/lighthouse.html')), 402);
  assert.equal(await reader.follow('button', 'Read for 5 ¢'), 402);
  await reader.reads('10 ¢ a day');
  await reader.shot('day-limit');
  assert.equal(await reader.follow('button', "Raise today's limit"), 200);
  assert.equal(new URL(reader.page.url()).origin, world.broker.issuer);
  assert.equal(await wallet.confirm({ automatic: true, page: '0.02', day: '1.00' }), 200);
  await wallet.reads(paper, '/features/lighthouse.html');

  // Without asking, but not beyond the limit for one page.
  assert.equal(await wallet.open(paper, '/articles/chess.html'), 200);
  await wallet.reads(paper, '/articles/chess.html');
  assert.equal(await wallet.open(paper, '/features/tides.html'), 402);
  assert.equal(await reader.follow('button', 'Read for 5 ¢'), 200);
  await wallet.reads(paper, '/features/tides.html');

  // What she allowed to every site she takes back at the broker: the next one has to ask, and she may say no.
  assert.equal(await wallet.look(paper), 200);
  assert.equal(await reader.follow('link', 'Change the limits'), 200);
  await reader.shot('limits');
  const everywhere = reader.page.locator('section', { hasText: 'All sites together' });
  assert.equal(await reader.click(everywhere.getByRole('button', { name: 'Revoke', exact: true })), 200);
  await reader.reads('Your limits are kept');
  assert.equal(await reader.visit(other.url('/features/maps.html')), 402);
  assert.equal(await wallet.fetch('5 ¢'), 200);
  assert.equal(await reader.get('button', 'Confirm and read').count(), 1);
  assert.equal(await reader.follow('button', 'Cancel'), 402);
  assert.equal(reader.page.url(), other.url('/features/maps.html'));
  await other.charged(0, '/features/maps.html');

  // She takes it away from the site, which has none of it then, and neither has the first computer.
  assert.equal(await wallet.look(paper), 200);
  assert.equal(await reader.follow('button', 'Sign out and return the money at the broker'), 200);
  assert.equal(reader.page.url(), `${world.broker.issuer}/coins?from=site`);
  await reader.reads('press “Return” or “Give back” at its coin below');
  assert.equal(await reader.follow('button', /^(Return|Give back) coin/), 200);
  await reader.reads('78 ¢ went back to your account');
  for (const one of [home, reader]) assert.equal(await one.visit(paper.url('/features/maps.html')), 402);
  await paper.charged(0, '/features/maps.html');
  await home.leave();
  await reader.leave();
}

export default async function asked(world) {
  const [post, courier] = world.news;
  await play(world, 'server', post, courier);
  await play(world, 'cookie', courier, post);
}
