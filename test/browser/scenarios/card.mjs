// Money by card: to the provider's page and back, paid or thought better of.
import assert from 'node:assert/strict';
import { Reader } from '../lib.mjs';

export default async function play(world) {
  const reader = await Reader.come(world);
  const { issuer } = world.broker;
  await reader.visit(`${issuer}/sign-up`);
  assert.equal(await reader.follow('button', 'Sign up'), 200);
  assert.equal(await reader.follow('link', 'I have written it down'), 200);
  await reader.shot('add-money');

  const toTheProvider = async () => {
    await reader.page.getByLabel('Amount').selectOption({ label: '$5.00' });
    assert.equal(await reader.follow('button', 'Pay by card'), 200);
  };
  await toTheProvider();
  await reader.shot('continue');
  assert.equal(await reader.follow('link', 'Continue to the card payment'), 200);
  assert.notEqual(new URL(reader.page.url()).origin, issuer);
  assert.equal(await reader.follow('link', 'Back'), 200);
  assert.equal(new URL(reader.page.url()).origin, issuer);
  await reader.reads('begun; not confirmed');

  await toTheProvider();
  await reader.follow('link', 'Continue to the card payment');
  assert.equal(await reader.follow('button', 'Pay'), 200);
  assert.equal(new URL(reader.page.url()).origin, issuer);
  await reader.reads(/Your balance:\s+\$5\.00/, 'Payments by card', /\$5\.00\s+paid/);
  await reader.shot('paid');
  await reader.leave();
}
