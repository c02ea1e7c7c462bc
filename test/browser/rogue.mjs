// A site that says what it likes to the extension, and what the extension makes of it.
import http from 'node:http';

const HOST = '127.0.0.4';
const b64u = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
export const pause = (milliseconds) => new Promise((resolve) => { setTimeout(resolve, milliseconds); });

/** To a page, though the extension may just be paying for the one before, by a reload. */
export async function go(page, url) {
  for (let tries = 0; ; tries += 1) {
    try {
      return await page.goto(url);
    } catch (error) {
      if (tries === 3 || !/interrupted by another navigation/.test(error.message)) throw error;
    }
  }
}

/** A site that says what it likes, and remembers what it was shown. */
export class Rogue {
  static async start(issuer, host = HOST) {
    const rogue = new Rogue();
    rogue.issuer = issuer;
    rogue.pages = new Map();
    rogue.shown = [];
    rogue.asked = [];
    rogue.server = http.createServer((request, response) => rogue.#answer(request, response));
    await new Promise((resolve) => { rogue.server.listen(0, host, resolve); });
    rogue.origin = `http://${host}:${rogue.server.address().port}`;
    return rogue;
  }

  async #answer(request, response) {
    const field = request.headers['payment-authorization'] ?? request.headers.authorization;
    if (field) {
      const { payload } = JSON.parse(Buffer.from(field.slice(8), 'base64url'));
      this.shown.push({ url: request.url, method: request.method, index: payload.index, payload });
    }
    this.asked.push({ url: request.url, dest: request.headers['sec-fetch-dest'], purpose: request.headers['sec-purpose'],
      paid: Boolean(field) });
    const page = this.pages.get(request.url.split('?')[0]);
    const { status = 404, headers = {}, body = '' } = page ? await page(request) : {};
    response.writeHead(status, { 'content-type': 'text/html', 'cache-control': 'no-store', ...headers });
    response.end(body);
  }

  challenge({ amount = '20000', recipient = this.origin, brokers = [this.issuer], currency = 'uusd', header } = {}) {
    const request = b64u({ amount, currency, recipient, methodDetails: { brokers } });
    return `Payment id="AAAA", realm="rogue", method="netpay", intent="session", request="${request}", expires="2099-01-01T00:00:00Z"${header ? `, header="${header}"` : ''}`;
  }

  asks(terms, problem = {}) {
    return { status: 402, headers: { 'www-authenticate': this.challenge(terms), 'content-type': 'application/problem+json' },
      body: JSON.stringify({ type: 'https://paymentauth.org/problems/payment-required', ...problem }) };
  }
}

/** A page that is sold honestly. */
export const sold = (rogue, amount, body) => (request) => {
  if (!request.headers.authorization || request.headers['sec-purpose']) return rogue.asks({ amount });
  const { payload } = rogue.shown.at(-1);
  if (Number(payload.max) < Number(amount)) return rogue.asks({ amount }, { type: 'https://paymentauth.org/problems/payment-insufficient' });
  const receipt = { method: 'netpay', status: 'success', timestamp: '2026-11-22T12:00:00Z', reference: `${payload.coin}:${payload.index}`,
    amount, currency: 'uusd', spent: payload.index, revealed: payload.index };
  return { status: 200, headers: { 'payment-receipt': b64u(receipt) }, body: `<!DOCTYPE html><title>Sold</title>${body}` };
};

export const coins = async (wallet) => wallet.worker.evaluate(() => new Promise((resolve) => {
  const opening = indexedDB.open('netpay');
  opening.onsuccess = () => {
    const rows = opening.result.transaction('coins').objectStore('coins').getAll();
    rows.onsuccess = () => {
      opening.result.close();
      resolve(rows.result.map(({ coin, unit, spent }) => ({ coin, unit, spent })));
    };
  };
}));

/** By the wallet's own count, in tenths of a cent. */
export const spent = async (wallet) => (await coins(wallet)).reduce((sum, c) => sum + (c.spent * c.unit) / 1000, 0);
