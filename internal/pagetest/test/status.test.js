// The page by itself: state, gateway, snippets, languages, sizes.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { canary, fits, isAccessible, openPage, phone, settled, standsStill, startBrowser, startStack, text } from '../browser.js';

const stack = await startStack();
const browser = await startBrowser();

test('a relay that works says so, with its base URL', async (t) => {
  const page = await openPage(t, browser, stack.open, { permissions: ['clipboard-read', 'clipboard-write'] });
  await settled(page);
  assert.match(await text(page, '#verdict'), /✓ This relay works/);
  const facts = await text(page, '#facts');
  for (const fact of [/API\s+✓ reachable, [\d.]+ ms/, /Streaming\s+✓ one by one, 5 over \d+ ms/, /Access token\s+not needed/, /Version\s+\d+\.\d+\.\d+/, /WebSocket\s+yes/]) {
    assert.match(facts, fact);
  }
  assert.equal(await page.inputValue('#base'), stack.open + '/v1');
  await page.click('#copy-base');
  await page.waitForFunction(() => document.getElementById('copy-base').textContent === 'Copied');
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), stack.open + '/v1');
  assert.equal(await page.locator('#gateway').isVisible(), false);
  await standsStill(page, 'desktop');
  await fits(page, 'desktop');
  await isAccessible(page, 'desktop');
});

for (const colorScheme of ['light', 'dark']) {
  test(`a phone in Chinese, ${colorScheme}`, async (t) => {
    const page = await openPage(t, browser, stack.open, { viewport: phone, locale: 'zh-CN', colorScheme });
    await settled(page);
    assert.match(await text(page, '#verdict'), /✓ 中继工作正常/);
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
  assert.match(await text(page, '#status-title'), /状态/);
  assert.ok(page.url().endsWith('/#zh'));
  await page.click('#lang-en');
  assert.match(await text(page, '#facts'), /reachable/);
  assert.deepEqual(await page.evaluate(() => [localStorage.length, sessionStorage.length, document.cookie]), [0, 0, '']);
});

test('an API that cannot be reached', async (t) => {
  const page = await openPage(t, browser, stack.down, { expected: /503 .*deep=1/ });
  await settled(page);
  assert.match(await text(page, '#verdict'), /✗ This relay answers, but something is wrong/);
  assert.match(await text(page, '#facts'), /✗ the relay cannot connect to the API upstream_connect/);
  await isAccessible(page, 'down');
});

test('a region that OpenAI refuses', async (t) => {
  await stack.script(['region-refused']);
  const page = await openPage(t, browser, stack.small, { expected: /503 .*deep=1/ });
  await settled(page);
  assert.match(await text(page, '#facts'), /OpenAI refuses this region.*unsupported_country_region_territory/);
});

test('a stream that something collects, or cuts', async (t) => {
  const events = [0, 100, 200, 300, 400].map((at, i) => `data: {"event":${i + 1},"of":5,"at_ms":${at}}\n\n`).join('');
  let body = events + 'data: [DONE]\n\n';
  const page = await openPage(t, browser, stack.open, {
    before: (page) => page.route('**/relay/health?stream=1', (route) => route.fulfill({ contentType: 'text/event-stream', body })),
  });
  await settled(page);
  assert.match(await text(page, '#facts'), /✗ all together: something on the way collects/);
  body = events;
  await page.click('#recheck');
  await settled(page);
  assert.match(await text(page, '#facts'), /✗ the test stream broke off/);
});

test('what answers is no relay', async (t) => {
  const page = await openPage(t, browser, stack.open, {
    expected: /502/,
    before: (page) => page.route('**/relay/health*', (route) => route.fulfill({ status: 502, contentType: 'text/html', body: '<h1>Bad gateway</h1>' })),
  });
  await settled(page);
  assert.match(await text(page, '#verdict'), /Something in front of the relay says \(502\): Bad gateway/);
});

test('snippets have the base URL and the way of the token', async (t) => {
  for (const [name, key] of [['open', '$OPENAI_API_KEY'], ['token', 'rt_$RELAY_TOKEN.$OPENAI_API_KEY'], ['held', 'rt_$RELAY_TOKEN']]) {
    const page = await openPage(t, browser, stack[name]);
    await settled(page);
    assert.ok((await text(page, '#snippet')).includes(`Bearer ${key}"`), name);
  }
  const page = await openPage(t, browser, stack.open, { viewport: phone });
  await settled(page);
  await page.focus('#tab-curl');
  for (const [name, holds] of [['Python', 'base_url="…"'], ['Node', 'baseURL: "…"'], ['Go', 'option.WithBaseURL("…")'], ['front_ends', '…']]) {
    await page.keyboard.press('ArrowRight');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'tab-' + name);
    assert.ok((await text(page, '#snippet')).includes(holds.replace('…', stack.open + '/v1')), name);
    await fits(page, name);
  }
  await isAccessible(page, 'front ends');
  await page.keyboard.press('ArrowRight');
  assert.equal(await page.getAttribute('#tab-curl', 'aria-selected'), 'true');
});

test('a gateway shows its upstreams, live', async (t) => {
  const upstreams = [
    { name: 'aws-us-east-1', state: 'up', latency_ms: 12.3, in_flight: 2 },
    { name: 'gcf-europe-west1', state: 'suspect', latency_ms: 240, in_flight: 0, last_error: 'upstream_reset' },
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
    expected: /500/,
    before: (page) => page.route((url) => url.pathname === '/relay/health' && url.search !== '?stream=1', stub),
  });
  await settled(page);
  assert.equal(await page.locator('#gateway').isVisible(), false);
  await page.fill('#token', stack.accessToken);
  await page.press('#token', 'Tab');
  await page.waitForSelector('#gateway:visible');
  assert.equal(tokens.at(-1), stack.accessToken);
  const rows = await page.locator('#upstreams tr').allInnerTexts();
  assert.match(rows[0], /aws-us-east-1\s+● up\s+12 ms\s+2/);
  assert.match(rows[1], /gcf-europe-west1\s+upstream_reset\s+◐ suspect\s+240 ms\s+0/);
  assert.match(rows[2], /vercel-iad1\s+connect\s+○ down\s+tried again in 1.5 sec/);
  await isAccessible(page, 'gateway');

  Object.assign(upstreams[2], { state: 'up', latency_ms: 31, last_error: undefined, retry_in_ms: undefined });
  await page.waitForFunction(() => /vercel-iad1\s+● up\s+31 ms/.test(document.getElementById('upstreams').innerText));
  assert.equal(await text(page, '#gateway-news'), 'vercel-iad1: up');
  await page.setViewportSize(phone);
  await fits(page, 'gateway');
  answers = false;
  await page.waitForFunction(() => /does not answer/.test(document.getElementById('gateway-hint').textContent));
  assert.ok(canary.length > 0 && !(await text(page, '#page')).includes(canary), 'the token is shown');
});

test('a real gateway, over a relay and one that is not there', async (t) => {
  const page = await openPage(t, browser, stack.gateway);
  await settled(page);
  await page.fill('#token', stack.accessToken);
  await page.fill('#key-list', `sk-proj-${canary}0123456789abcdwxyz`);
  await page.click('#send');
  await page.waitForFunction(() => document.querySelector('#figures .ticks'));
  assert.match(await text(page, '#figures'), /Answered by\s+near, attempt [12]/);
  await page.waitForFunction(() => /far\s[^]*○ down[^]*near\s+● up\s+[\d.]+ ms/.test(document.getElementById('upstreams').innerText));
  assert.match(await text(page, '#facts'), /API\s+✓ reachable/);
});

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
  assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Skip to the first chat');
  await page.keyboard.press('Enter');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'try');
  const seen = [];
  for (let i = 0; i < 6; i++) {
    await page.keyboard.press('Tab');
    seen.push(await page.evaluate(() => document.activeElement.id));
  }
  assert.deepEqual(seen, ['try-api', 'try-model', 'try-key', 'try-message', 'send', 'answer']);
});
