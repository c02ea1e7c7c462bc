// Who sells pages looks after it at the broker's site: registering, the certificate, takings, redemptions.
import assert from 'node:assert/strict';
import { Reader } from '../lib.mjs';

export default async function play(world) {
  const [post] = world.news;

  // A reader's two pages, so that there is something to see.
  const store = world.temporary('store');
  world.netpay(store, ['account', 'create', '--broker', world.broker.issuer]);
  world.netpay(store, ['topup', world.mint('1.00')]);
  world.netpay(store, ['buy', '--unit', '1000', '--n', '100']);
  for (const target of ['/articles/chess.html', '/features/maps.html'])
    world.netpay(store, ['get', '--yes', '--max-price', '0.05', post.url(target)]);
  await post.redeem(70);

  const reader = await Reader.come(world);
  assert.equal(await reader.visit(`${world.broker.issuer}/vendor`), 200);
  await reader.reads('Sign in');
  await reader.fill('Your passphrase, seven words', world.passphrase);
  assert.equal(await reader.follow('button', 'Sign in'), 200);
  await reader.reads('Your sites', ...world.news.map((paper) => paper.origin), 'approved');
  await reader.shot('sites');
  assert.equal(await reader.follow('link', post.origin), 200);
  await reader.reads('approved', 'What is owed', 'Takings by day', 'Redemptions', /Pending[^]*\d ¢[^]*Credited\s[^]*\d ¢/);
  await reader.shot('site');

  // A new one, by what its host signed.
  await reader.follow('link', 'Sell pages');
  assert.equal(await reader.follow('link', 'Register a site'), 200);
  await reader.shot('register');
  await reader.fill('Signed registration', 'eyJhbGciOiJub25lIn0.e30.');
  assert.ok((await reader.follow('button', 'Register')) >= 400);
  await reader.shot('register-refused');
  const signed = world.netpay(store, ['vendor', 'register', '--print', '--broker', world.broker.issuer,
    '--origin', 'https://gazette.example', '--key', post.key]);
  await reader.fill('Signed registration', signed);
  assert.equal(await reader.follow('button', 'Register'), 202);
  await reader.reads('https://gazette.example is registered and waits');
  await reader.shot('registered');
  await reader.visit(`${world.broker.issuer}/vendor`);
  await reader.reads('https://gazette.example', "waits for the broker's operator");
  await reader.leave();
}
