// The page by itself: state, gateway, snippets, languages, sizes.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { canary, decode, fits, isAccessible, openPage, phone, settled, standsStill, startBrowser, startStack, text } from '../browser.js';

const stack = await startStack();
const browser = await startBrowser();

test('a relay that works says so, with its base URL', async (t) => {
  const page = await openPage(t, browser, stack.open, { permissions: ['clipboard-read', 'clipboard-write'] });
  await settled(page);
  assert.match(await text(page, '#verdict'), /This relay works\s+Put the base URL into any OpenAI client/);
  assert.match(await text(page, '#banner'), /API\s+[\d.]+ ms\s+reachable\s+Streaming\s+one by one\s+5 events over \d+ ms/);
  assert.match(await text(page, '#age'), /^checked \d+ sec\. ago$/);
  assert.equal(await page.inputValue('#base'), stack.open + '/v1');
  await page.click('#copy-base button');
  await page.waitForFunction(() => document.getElementById('copy-base').textContent === 'Copied');
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), stack.open + '/v1');
  for (const hidden of ['#gateway', '#access', '#facts', '#qr', '#fault', '#answer']) assert.equal(await page.locator(hidden).isVisible(), false, hidden);
  await standsStill(page, 'desktop');
  await fits(page, 'desktop');
  await isAccessible(page, 'desktop');
  await page.click('#about summary');
  for (const fact of [/Access token\s+no/, /API key\s+yours/, /Version\s+\d+\.\d+\.\d+/, /WebSocket\s+yes/, /Largest request\s+33\.6 MB/]) {
    assert.match(await text(page, '#facts'), fact);
  }
});

test('the QR code is that of the base URL', async (t) => {
  const page = await openPage(t, browser, stack.open, { viewport: phone });
  await settled(page);
  await page.click('#qr-box summary');
  const drawn = await page.locator('#qr path').getAttribute('d');
  const modules = new Set([...drawn.matchAll(/M(\d+) (\d+)h1v1h-1z/g)].map(([, x, y]) => `${x} ${y}`));
  const size = Number((await page.locator('#qr svg').getAttribute('viewBox')).split(' ')[2]) - 8;
  assert.equal(decode(Array.from({ length: size }, (_, y) => Array.from({ length: size }, (_, x) => modules.has(`${x} ${y}`)))), stack.open + '/v1');
  assert.equal(await page.locator('#qr svg').getAttribute('aria-label'), `QR code for a phone: ${stack.open}/v1`);
  await fits(page, 'QR code');
  await isAccessible(page, 'QR code');
});

for (const colorScheme of ['light', 'dark']) {
  test(`a phone in Chinese, ${colorScheme}`, async (t) => {
    const page = await openPage(t, browser, stack.open, { viewport: phone, locale: 'zh-CN', colorScheme });
    await settled(page);
    assert.match(await text(page, '#verdict'), /中继工作正常/);
    assert.equal(await page.getAttribute('html', 'lang'), 'zh-Hans');
    await standsStill(page, 'phone');
    await fits(page, 'phone');
    await isAccessible(page, 'phone');
    const [ground, ink] = await page.evaluate(() => [getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]
      .map((color) => color.match(/\d+/g).slice(0, 3).reduce((sum, part) => sum + Number(part), 0)));
    assert.equal(ground > ink, colorScheme === 'light');
  });
}

test('the language can be switched, and the address keeps it', async (t) => {
  const page = await openPage(t, browser, stack.open);
  await settled(page);
  await page.click('#lang-zh');
  assert.match(await text(page, '#status'), /中继工作正常[\s\S]*可达/);
  assert.equal(await page.getAttribute('#lang-zh', 'aria-pressed'), 'true');
  await page.reload();
  await settled(page);
  assert.match(await text(page, '#status-title'), /中继工作正常/);
  assert.ok(page.url().endsWith('/#zh'));
  await page.click('#lang-en');
  assert.match(await text(page, '#banner'), /reachable/);
  assert.deepEqual(await page.evaluate(() => [localStorage.length, sessionStorage.length, document.cookie]), [0, 0, '']);
});

test('an API that cannot be reached', async (t) => {
  const page = await openPage(t, browser, stack.down, { expected: /503 .*deep=1/ });
  await settled(page);
  assert.match(await text(page, '#verdict'), /The relay is up but cannot reach the API\s+upstream_connect/);
  assert.match(await text(page, '#banner'), /API\s+not reachable/);
  await standsStill(page, 'down');
  await isAccessible(page, 'down');
});

test('a region that OpenAI refuses', async (t) => {
  await stack.script(['region-refused'], { checks: true });
  const page = await openPage(t, browser, stack.small, { expected: /503 .*deep=1/ });
  await settled(page);
  assert.match(await text(page, '#verdict'), /OpenAI does not serve this region.*unsupported_country_region_territory/);
});

test('a stream that is cut', async (t) => {
  const page = await openPage(t, browser, stack.open, {
    before: (page) => page.route('**/relay/health?stream=1', (route) => route.fulfill({ contentType: 'text/event-stream', body: 'data: {"event":1,"of":5,"at_ms":0}\n\n' })),
  });
  await settled(page);
  assert.match(await text(page, '#verdict'), /Streams are cut off/);
  assert.equal(await page.getAttribute('#banner', 'class'), 'bad');
});

test('what answers is no relay', async (t) => {
  const page = await openPage(t, browser, stack.open, {
    expected: /502/,
    before: (page) => page.route('**/relay/health*', (route) => route.fulfill({ status: 502, contentType: 'text/html', body: '<h1>Bad gateway</h1>' })),
  });
  await settled(page);
  assert.match(await text(page, '#verdict'), /Something in front of the relay says \(502\): Bad gateway/);
});

test('a gateway shows its upstreams, live', async (t) => {
  const upstreams = [
    { name: 'aws-us-east-1', state: 'up', latency_ms: 12.3, in_flight: 2 },
    { name: 'gcf-europe-west1', state: 'suspect', latency_ms: 240, in_flight: 0, checked_ms_ago: 1000, last_error: 'upstream_reset', error_ms_ago: 3000 },
    { name: 'vercel-iad1', state: 'down', latency_ms: 0, in_flight: 0, last_error: 'connect', retry_in_ms: 1500 },
  ];
  let answers = true;
  const tokens = [];
  // The stub tells upstreams to those who show the token, as the relay does.
  const stub = async (route) => {
    const token = route.request().headers()['x-relay-token'];
    tokens.push(token);
    if (!answers) return route.fulfill({ status: 500, body: '' });
    const response = await route.fetch();
    const json = { ...(await response.json()), ...(token && { upstreams }) };
    return route.fulfill({ response, json });
  };
  const page = await openPage(t, browser, stack.token, {
    expected: /500|401/,
    before: (page) => page.route((url) => url.pathname === '/relay/health' && url.search !== '?stream=1', stub),
  });
  await settled(page);
  assert.equal(await page.locator('#gateway').isVisible(), false);
  await page.fill('#token', stack.accessToken);
  await page.press('#token', 'Tab');
  await page.waitForSelector('#gateway:visible');
  assert.equal(tokens.at(-1), stack.accessToken);
  const rows = await page.locator('#upstreams tr').allInnerTexts();
  assert.match(rows[0], /aws-us-east-1\s+● up\s+not checked yet\s+12 ms\s+2/);
  assert.match(rows[1], /gcf-europe-west1\s*upstream_reset, 3 sec\. ago\s+◐ suspect\s+checked 1 sec\. ago\s+240 ms\s+0/);
  assert.match(rows[2], /vercel-iad1\s*connect\s+○ down\s+retry in 1.5 sec/);
  await isAccessible(page, 'gateway');

  Object.assign(upstreams[2], { state: 'up', latency_ms: 31, last_error: undefined, retry_in_ms: undefined });
  await page.waitForFunction(() => /vercel-iad1\s+● up\s+not checked yet\s+31 ms/.test(document.getElementById('upstreams').innerText));
  assert.equal(await text(page, '#gateway-news'), 'vercel-iad1: up');
  await page.setViewportSize(phone);
  await fits(page, 'gateway');
  answers = false;
  await page.waitForFunction(() => /does not respond · last known/.test(document.getElementById('gateway-hint').textContent));
  assert.ok(canary.length > 0 && !(await text(page, '#page')).includes(canary), 'the token is shown');
});

test('a real gateway, over a relay and one that is not there', async (t) => {
  const page = await openPage(t, browser, stack.gateway, { expected: /401/ });
  await settled(page);
  await page.fill('#token', stack.accessToken);
  await page.fill('#try-key', `sk-proj-${canary}0123456789abcdwxyz`);
  await page.click('#send');
  await page.waitForFunction(() => document.querySelector('#figures .ticks'));
  assert.match(await text(page, '#figures'), /Came through\s+near, attempt [12]/);
  await page.waitForFunction(() => /far\s[^]*○ down[^]*near\s+● up\s+checked \d+ sec\. ago\s+[\d.]+ ms/.test(document.getElementById('upstreams').innerText));
  assert.match(await text(page, '#banner'), /API\s+[\d.]+ ms\s+reachable/);
});

for (const media of [{ forcedColors: 'active' }, { media: 'print' }]) {
  test(`the page with ${JSON.stringify(media)}`, async (t) => {
    const page = await openPage(t, browser, stack.open);
    await page.emulateMedia(media);
    await settled(page);
    assert.match(await text(page, '#verdict'), /This relay works/);
    assert.equal(await page.locator('#try-form').isVisible(), !media.media);
    await fits(page, 'media');
    await isAccessible(page, 'media');
  });
}

test('a gateway that everybody may see stands still', async (t) => {
  const upstreams = [{ name: 'a', state: 'up', latency_ms: 5, in_flight: 0 }, { name: 'b', state: 'up', latency_ms: 9, in_flight: 0 }];
  const page = await openPage(t, browser, stack.open, {
    before: (page) => page.route((url) => url.pathname === '/relay/health' && url.search !== '?stream=1', async (route) => {
      const response = await route.fetch();
      return route.fulfill({ response, json: { ...(await response.json()), upstreams } });
    }),
  });
  await settled(page);
  await page.waitForSelector('#gateway:visible');
  await standsStill(page, 'gateway');
});

test('the keyboard goes through the page', async (t) => {
  const page = await openPage(t, browser, stack.open);
  await settled(page);
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Skip to the chat');
  await page.keyboard.press('Enter');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'try');
  const seen = [];
  for (let i = 0; i < 8; i++) {
    await page.keyboard.press('Tab');
    seen.push(await page.evaluate(() => document.activeElement.id));
  }
  assert.deepEqual(seen, ['try-key', 'try-model', 'models', 'try-api', 'try-message', 'send', 'show', 'keep']);
});
