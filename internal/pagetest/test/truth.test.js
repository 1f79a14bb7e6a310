// The page says what is true, also when things go wrong in odd ways.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { canary, isAccessible, json, openPage, settled, startBrowser, startFront, startStack, stubHealth, text } from '../browser.js';

const stack = await startStack();
const browser = await startBrowser();

const key = `sk-proj-${canary}0123456789abcdwxyz`;
const refusals = /status of (4\d\d|502)/;

// check fills in keys and waits until all of them are checked.
async function check(page, list) {
  await page.fill('#key-list', list);
  await page.click('#check');
  await page.waitForSelector('#check:visible');
}

// withAPI opens the page of a relay before an API that responds as answer says,
// by the path; paths of which it says nothing go to the fake.
const withAPI = (t, answer, options = {}) => openPage(t, browser, stack.open, {
  expected: refusals, ...options,
  before: (page) => page.route(/\/(v1|dashboard)\//, async (route) => {
    const said = await answer(new URL(route.request().url()).pathname, route.request());
    return said ? route.fulfill(said) : route.continue();
  }),
});

// hold forwards a stream once n of its events have come, or all of them. The others
// follow one by one: on a busy machine they would come together by themselves.
async function hold(from, to, n = Infinity) {
  let held = '';
  let released = false;
  for await (const chunk of from.setEncoding('utf8')) {
    held += chunk;
    const events = held.split('\n\n');
    if (!released && events.length <= n) continue;
    while (events.length > 1) {
      to.write(events.splice(0, released ? 1 : n).join('\n\n') + '\n\n');
      released = true;
      await sleep(100);
    }
    held = events[0];
  }
  to.end(held);
}

test('a stall at the beginning of a stream is no fault of the relay', async (t) => {
  // Of every stream the first three events come together.
  const front = await startFront(stack.open, (from, to, { url }) => (url.includes('stream=1') ? hold(from, to, 3) : from.pipe(to)));
  const page = await openPage(t, browser, front.url);
  await settled(page);
  assert.match(await text(page, '#verdict'), /This relay works/);
  assert.match(await text(page, '#status'), /Streaming\s+one by one/);
  assert.equal(await page.getAttribute('#banner', 'class'), 'good');
});

test('a stream that stalls once is probed again', async (t) => {
  let probes = 0;
  const front = await startFront(stack.open, (from, to, { url }) => (url.includes('stream=1') && probes++ === 0 ? hold(from, to) : from.pipe(to)));
  const page = await openPage(t, browser, front.url);
  await settled(page);
  assert.match(await text(page, '#verdict'), /This relay works/);
  assert.ok(probes >= 2);
});

test('buffered streams are a verdict of their own', async (t) => {
  const front = await startFront(stack.open, (from, to, { url }) => (url.includes('stream=1') ? hold(from, to) : from.pipe(to)));
  const page = await openPage(t, browser, front.url);
  await settled(page);
  assert.match(await text(page, '#verdict'), /It works, but streams are buffered from here\s+Something in between/);
  assert.equal(await page.getAttribute('#banner', 'class'), 'warn');
  assert.match(await text(page, '#status'), /API\s+[\d.]+ ms reachable|API\s+[\d.]+ ms\s+reachable/);
  await isAccessible(page, 'buffered');
});

for (const [name, spoil] of [
  ['throws', () => Object.defineProperty(window, 'sessionStorage', { get() { throw new DOMException('denied', 'SecurityError'); } })],
  ['holds no JSON', () => sessionStorage.setItem('relay-page', '{"keys":')],
  ['holds other JSON', () => sessionStorage.setItem('relay-page', '[7]')],
  ['holds null', () => sessionStorage.setItem('relay-page', '{"token":null,"try-key":{}}')],
]) {
  test(`the page is there when sessionStorage ${name}`, async (t) => {
    const page = await openPage(t, browser, stack.open, { before: (page) => page.addInitScript(spoil) });
    await settled(page);
    assert.match(await text(page, '#verdict'), /This relay works/);
    assert.equal(await page.locator('#fault').isVisible(), false);
    await page.fill('#key-list', key);
    await page.check('#keep');
    await page.uncheck('#keep');
  });
}

test('an unexpected error is one sentence, and the rest of the page works', async (t) => {
  const page = await openPage(t, browser, stack.open, {
    expected: /oops/,
    before: (page) => page.addInitScript(() => {
      const query = document.querySelectorAll.bind(document);
      document.addEventListener = () => { throw new Error('oops'); };
      document.querySelectorAll = query;
    }),
  });
  await settled(page);
  assert.match(await text(page, '#fault'), /^This page hit an unexpected error: oops\. Reload it; the relay itself may be fine\.$/);
  assert.match(await text(page, '#verdict'), /This relay works/);
  await isAccessible(page, 'fault');
});

test('health with odd fields', async (t) => {
  const page = await openPage(t, browser, stack.open, {
    before: (page) => stubHealth(page, (health) => ({ ...health, name: { a: 1 }, region: null, platform: 7, max_body_bytes: 'x', upstreams: {}, token: 7 })),
  });
  await settled(page);
  assert.match(await text(page, '#verdict'), /This relay works/);
  assert.equal(await page.locator('#gateway').isVisible(), false);
});

test('a region that died is not up, and what is known says how old it is', async (t) => {
  const page = await openPage(t, browser, stack.gateway503);
  await settled(page);
  const row = page.locator('#upstreams tr').first();
  assert.match(await row.innerText(), /● up\s+checked \d+ sec\. ago/);
  await stack.kill('gateway503');
  // Nobody sends a request: that the page is open is enough to have it probed.
  await page.waitForFunction(() => /◐ suspect|○ down/.test(document.querySelector('#upstreams tr').innerText));
  await page.waitForFunction(() => /○ down\s+retry in/.test(document.querySelector('#upstreams tr').innerText));
  assert.match(await row.innerText(), /unresponsive, \d+ sec\. ago/);
  assert.match(await text(page, '#gateway-sum'), /^2 of 3 up$/);
  assert.ok((await row.locator('.dots').getAttribute('d')).includes('M'), 'failures as dots');
});

// The table is for several upstreams.
const another = { name: 'b', state: 'up', latency_ms: 1, in_flight: 0, checked_ms_ago: 0 };

test('a failed deep check paints the table', async (t) => {
  const states = ['up', 'down'];
  let failing = false;
  const page = await openPage(t, browser, stack.open, {
    expected: /503/,
    before: (page) => stubHealth(page, (health, query) => ({
      ...health,
      ...(failing && query === '?deep=1' && { upstream: { ok: false, code: 'upstream_connect', latency_ms: 1 } }),
      upstreams: [{ name: 'a', state: states[Number(failing && query === '?deep=1')], latency_ms: 1, in_flight: 0, checked_ms_ago: 0 }, another],
    })),
  });
  await settled(page);
  assert.match(await text(page, '#upstreams'), /● up/);
  failing = true;
  // The next look would show the state of the stub again, so the change is noted.
  await page.evaluate(() => new MutationObserver(() => {
    window.__seen = (window.__seen ?? '') + document.getElementById('upstreams').innerText;
  }).observe(document.getElementById('upstreams'), { childList: true, subtree: true }));
  await page.click('#recheck');
  await settled(page);
  assert.match(await page.evaluate(() => window.__seen), /○ down/);
  assert.match(await text(page, '#verdict'), /The relay is up but cannot reach the API/);
});

test('a failure that is over is told as such', async (t) => {
  const page = await openPage(t, browser, stack.open, {
    before: (page) => stubHealth(page, (health) => ({
      ...health, upstreams: [{ name: 'a', state: 'up', latency_ms: 1, in_flight: 0, checked_ms_ago: 3000, last_error: 'refused', error_ms_ago: 600_000 }, another],
    })),
  });
  await settled(page);
  assert.match(await text(page, '#upstreams'), /^a\s*last failure: refused, 10 min\. ago\s+● up\s+checked [3-9] sec\. ago/);
});

const error = (status, code, message = 'said', type = 'x') => json({ error: { message, type, param: null, code } }, { status });
const listed = json({ object: 'list', data: [{ id: 'some-mini', created: 1 }] });

for (const [name, models, chat, state] of [
  ['accepted', listed, null, /✓ accepted, credit untested/],
  ['with credit', listed, json({ choices: [] }), /✓ works, has credit/],
  ['without credit', listed, error(429, 'insufficient_quota', 'You exceeded your current quota'), /! no credit/],
  ['without credit, 402', listed, error(402, 'x', 'Insufficient Balance'), /! no credit/],
  ['without billing', listed, error(429, 'billing_not_active'), /! no credit/],
  ['rate-limited', listed, error(429, 'rate_limit_exceeded', 'Rate limit reached'), /! rate-limited/],
  ['rate-limited, on the free tier', listed, error(429, 'rate_limit_exceeded', 'Rate limit reached. You can increase your rate limit by adding a payment method at https://platform.openai.com/account/billing.'), /! rate-limited/],
  ['without credit by its type', listed, error(429, null, 'said', 'insufficient_quota'), /! no credit/],
  ['rate-limited at once', error(429, 'rate_limit_exceeded', 'Rate limit reached'), null, /! rate-limited/],
  ['blocked by region', error(403, 'unsupported_country_region_territory'), null, /✗ blocked/],
  ['blocked by permission', error(401, null, 'You have insufficient permissions for this operation. Missing scopes: api.model.read.'), null, /✗ blocked/],
  ['blocked by address', error(401, 'ip_not_authorized', 'Your IP is not authorized'), null, /✗ blocked/],
  ['forbidden', error(403, 'forbidden'), null, /✗ blocked/],
  ['invalid', error(401, 'invalid_api_key', 'Incorrect API key provided'), null, /✗ invalid/],
  ['invalid with status 200', error(200, 'invalid_api_key', 'Incorrect API key provided'), null, /✗ invalid/],
  ['200 with an error', error(200, 'oops', 'database is locked'), null, /\? could not check[\s\S]*database is locked/],
  ['200 with success: false', json({ success: false, message: '无权进行此操作' }), null, /\? could not check[\s\S]*无权进行此操作/],
  ['200 without a list', json({ hello: 'world' }), null, /\? could not check/],
  ['200 with a page', { status: 200, contentType: 'text/html', body: '<h1>Log in</h1>' }, null, /\? could not check[\s\S]*Log in/],
  ['API is down', error(500, null, 'The server had an error'), null, /\? could not check/],
  ['no such path', error(404, null, 'Not found'), null, /\? could not check/],
]) {
  test(`a key is what it is: ${name}`, async (t) => {
    const page = await withAPI(t, (path) => ({ '/v1/models': models, '/v1/chat/completions': chat })[path], { expected: /status of/ });
    await settled(page);
    await check(page, key);
    if (chat) {
      await page.click('#results .test');
      await page.waitForFunction(() => /Credit test/.test(document.getElementById('results').innerText));
    }
    assert.match(await text(page, '#results'), state);
    assert.ok(!(await text(page, '#page')).includes(canary), 'a key is shown');
  });
}

for (const [name, subscription, usage, says, not] of [
  ['one-api', { object: 'billing_subscription', has_payment_method: true, soft_limit_usd: 20, hard_limit_usd: 20, system_hard_limit_usd: 20, access_until: 0 },
    { object: 'list', total_usage: 550 }, /\$14\.50 left · \$20\.00 granted · \$5\.50 used/, /a month|1970|until|30 days/],
  ['new-api, never expires', { object: 'billing_subscription', hard_limit_usd: 3, access_until: -1 }, { object: 'list', total_usage: 0 }, /\$3\.00 left · \$3\.00 granted · \$0\.00 used/, /1969|1970|until/],
  ['no limit', { object: 'billing_subscription', hard_limit_usd: 100000000, access_until: 0 }, { object: 'list', total_usage: 1234 }, /no limit · \$12\.34 used/, /100,000,000|granted|left/],
  ['with an end', { object: 'billing_subscription', hard_limit_usd: 20, access_until: 1798761600 }, { object: 'list', total_usage: 550 }, /\$14\.50 left.* · until Jan 1, 2027/, /a month/],
  ['usage is not told', { object: 'billing_subscription', hard_limit_usd: 20, access_until: 0 }, null, /\$20\.00 granted/, /left/],
]) {
  test(`balances as others send them: ${name}`, async (t) => {
    const page = await withAPI(t, (path) => ({
      '/dashboard/billing/subscription': json(subscription), '/dashboard/billing/usage': usage ? json(usage) : error(404, null),
      '/dashboard/billing/credit_grants': error(404, null),
    })[path]);
    await settled(page);
    await check(page, key);
    const results = (await text(page, '#results')).replace(/[\d]+ of [\d]+ \w+ left/g, '');
    assert.match(results, says);
    assert.doesNotMatch(results, not);
  });
}

test('a token that no header can carry is said to be that, and the relay is not to blame', async (t) => {
  const page = await openPage(t, browser, stack.token, { expected: refusals });
  await settled(page);
  await page.fill('#token', 'tökén-令牌');
  assert.match(await text(page, '#access'), /The access token contains a character that cannot occur in a token/);
  await page.click('#recheck');
  await settled(page);
  assert.match(await text(page, '#verdict'), /This relay works/);
  await page.fill('#try-key', key);
  await page.click('#send');
  await page.waitForFunction(() => document.getElementById('figures').textContent);
  assert.match(await text(page, '#figures'), /The access token contains a character that cannot occur in a token/);
  await check(page, key);
  assert.match(await text(page, '#results'), /\? could not check[\s\S]*The access token contains a character/);
  await isAccessible(page, 'malformed token');
});

for (const [how, late, call] of [
  ['long after it was checked', 90_000, async (page) => {
    await page.fill('#try-key', key);
    await page.click('#send');
  }],
  ['right after it was checked', 0, (page) => check(page, key)],
]) {
  test(`a relay that dies ${how} does not go on working`, async (t) => {
    const front = await startFront(stack.open);
    const page = await openPage(t, browser, front.url, { expected: /ERR_/, before: (page) => late && page.clock.install() });
    await settled(page);
    assert.match(await text(page, '#verdict'), /This relay works/);
    front.die();
    if (late) await page.clock.fastForward(late);
    await call(page);
    await page.waitForFunction(() => /This relay does not respond/.test(document.getElementById('verdict').textContent));
    assert.equal(await page.getAttribute('#banner', 'class'), 'bad');
    assert.match(await text(page, '#age'), late ? /last known (9\d sec\.|2 min\.) ago/ : /last known \d+ sec\. ago/);
    assert.ok(await page.locator('#status').evaluate((section) => section.classList.contains('old')), 'old facts are greyed');
    assert.match(await text(page, '#status'), /API\s+[\d.]+ ms/);
    await isAccessible(page, 'dead relay');
  });
}

test('a relay that dies within a stream is checked again', async (t) => {
  let cut;
  const front = await startFront(stack.open, (from, to, { url }) => {
    from.pipe(to);
    if (url.endsWith('/chat/completions')) cut = () => to.destroy();
  });
  const page = await openPage(t, browser, front.url, { expected: /ERR_/ });
  await settled(page);
  await page.fill('#try-key', key);
  await page.fill('#try-model', 'gpt-4o-mini');
  await stack.script(['silence=3']);
  await page.click('#send');
  await page.waitForFunction(() => document.getElementById('answer').textContent.length > 0);
  front.die();
  cut();
  await page.waitForFunction(() => /This relay does not respond/.test(document.getElementById('verdict').textContent));
  assert.match(await text(page, '#figures'), /The connection broke off/);
});

test('a page of the platform in place of the relay has it checked again', async (t) => {
  let dead = false;
  const page = await openPage(t, browser, stack.open, {
    expected: /502/,
    before: (page) => page.clock.install().then(() => page.route(/\/(v1|relay)\//, (route) => (dead ? route.fulfill({ status: 502, contentType: 'text/html', body: '<h1>Bad gateway</h1>' }) : route.continue()))),
  });
  await settled(page);
  dead = true;
  await page.clock.fastForward(60_000);
  await check(page, key);
  await page.waitForFunction(() => /does not respond/.test(document.getElementById('verdict').textContent));
  assert.match(await text(page, '#verdict'), /Something in front of the relay says \(502\): Bad gateway/);
});
