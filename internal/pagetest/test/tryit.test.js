// A first chat: that it streams, and that it says so when it doesn't.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { canary, fits, isAccessible, openPage, phone, settled, startBrowser, startFront, startStack, text } from '../browser.js';

const stack = await startStack();
const browser = await startBrowser();

const key = `sk-proj-${canary}0123456789abcdwxyz`;
const events = 8; // of text, see fakeopenai

async function open(t, relay = stack.open, options = {}) {
  const page = await openPage(t, browser, relay, options);
  await settled(page);
  await page.fill('#try-key', key);
  await page.fill('#try-model', 'gpt-4o-mini');
  await stack.reset();
  return page;
}

// send sends a message and waits until the answer is over.
async function send(page, { api = 'chat', message = 'Hello' } = {}) {
  await page.selectOption('#try-api', api);
  await page.fill('#try-message', message);
  await page.click('#send');
  await over(page);
}

const over = (page) => page.waitForFunction(() => document.getElementById('answer').getAttribute('aria-busy') === 'false' && document.getElementById('figures').textContent);

for (const api of ['chat', 'responses']) {
  test(`${api}: a response is shown as it streams`, async (t) => {
    const page = await open(t);
    await stack.script(['gap=70ms']);
    await send(page, { api });
    assert.equal(await text(page, '#answer'), 'Backwards → olleH');
    const figures = await text(page, '#figures');
    assert.match(figures, /First token\s+[\d.]+ (ms|sec)/);
    assert.match(figures, /Events\s+.*: 8 events (in \d pieces over|within) [\d.]+ (ms|sec)/);
    assert.match(figures, /Speed\s+[\d.]+ tokens\/s/);
    assert.match(figures, /Whole response\s+[\d.]+ (ms|sec), 8 tokens/);
    assert.equal((await page.locator('svg.ticks path').getAttribute('d')).match(/M/g).length, events);
    const [{ uri, header }] = await stack.requests({ wait: 1 });
    assert.equal(uri, api === 'chat' ? '/v1/chat/completions' : '/v1/responses');
    for (const name of ['Origin', 'Referer', 'Cookie', 'X-Relay-Token', 'Sec-Fetch-Mode']) assert.ok(!(name in header), `the upstream sees ${name}`);
    await isAccessible(page, api);
    await page.setViewportSize(phone);
    await fits(page, api);
  });
}

test('each event is shown as it comes, before the next', async (t) => {
  let write;
  const front = await startFront(stack.open, (from, to, { url }) => {
    if (!url.endsWith('/chat/completions')) return from.pipe(to);
    from.resume();
    write = (data) => to.write(`data: ${data}\n\n`);
    to.on('close', () => (write = null));
  });
  const page = await open(t, front.url, { expected: /ERR_/ });
  await page.click('#send');
  while (!write) await new Promise((resume) => setTimeout(resume, 5));
  for (let i = 1; i <= 6; i++) {
    write(JSON.stringify({ choices: [{ delta: { content: String(i) } }] }));
    // The next one is sent only when this one is to be seen.
    await page.waitForFunction((want) => document.getElementById('answer').textContent === want, '123456'.slice(0, i));
  }
  write('[DONE]');
  await page.click('#stop');
  await over(page);
  assert.match(await text(page, '#figures'), /Events\s+✓ one by one: 6 events in 6 pieces/);
});

test('a token goes with the message, and the held key answers', async (t) => {
  const page = await openPage(t, browser, stack.held);
  await settled(page);
  await page.fill('#token', stack.accessToken);
  await send(page);
  assert.equal(await text(page, '#answer'), 'Backwards → olleH');
});

test('the keyboard sends, and the focus stays', async (t) => {
  const page = await open(t);
  for (const [press, message] of [['Enter', 'abc'], ['Control+Enter', 'def']]) {
    await page.fill('#try-message', message);
    await page.press('#try-message', press);
    await page.waitForFunction((want) => document.getElementById('answer').textContent === want, 'Backwards → ' + [...message].reverse().join(''));
    await over(page);
    assert.equal(await page.evaluate(() => document.activeElement.id), 'try-message');
  }
  await page.press('#try-message', 'Shift+Enter');
  assert.equal(await page.inputValue('#try-message'), 'def\n');
  // Within an input method, Enter is not a message's end.
  await stack.reset();
  await page.evaluate(() => document.getElementById('try-message').dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', isComposing: true, bubbles: true, cancelable: true })));
  await page.press('#try-key', 'Enter');
  await over(page);
  assert.equal((await stack.requests({ wait: 1 })).length, 1, 'the key field sends, too');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'try-key');
  await page.focus('#send');
  await page.keyboard.press('Enter');
  await stack.requests({ wait: 2, done: 2 });
  assert.equal(await page.evaluate(() => document.activeElement.id), 'send');
});

test('the cheapest model is found, and others can be chosen', async (t) => {
  const page = await openPage(t, browser, stack.open, { expected: /401/ });
  await settled(page);
  await stack.reset();
  await page.click('#models');
  assert.match(await text(page, '#model-list'), /Enter a key first/);
  await page.click('#models');
  await page.fill('#try-key', key);
  await page.click('#models');
  await page.waitForSelector('#model-list button');
  assert.equal(await page.locator('#model-list button').count(), 9);
  assert.equal(await page.evaluate(() => document.activeElement.id), 'model-filter');
  await page.fill('#model-filter', 'mini 4O');
  assert.deepEqual(await page.locator('#model-list button').allInnerTexts(), ['gpt-4o-mini', 'gpt-4o-mini-tts']);
  await isAccessible(page, 'models');
  await page.click('#model-list button >> text="gpt-4o-mini"');
  assert.equal(await page.inputValue('#try-model'), 'gpt-4o-mini');
  assert.equal(await page.locator('#model-box').isVisible(), false);
  await page.fill('#try-model', '');
  await send(page);
  assert.equal(await page.inputValue('#try-model'), 'gpt-5-mini');
  const seen = await stack.requests({ wait: 2 });
  assert.deepEqual(seen.map(({ uri }) => uri), ['/v1/models', '/v1/chat/completions'], 'the list is asked for once');
});

test('a key of the list is used where the chat has none', async (t) => {
  const page = await openPage(t, browser, stack.open, { expected: /403/ });
  await settled(page);
  await page.fill('#key-list', key);
  assert.equal(await page.getAttribute('#try-key', 'placeholder'), 'sk-proj-…wxyz');
  await send(page);
  assert.equal(await text(page, '#answer'), 'Backwards → olleH');
  await page.click('#check');
  await page.click('#results .use');
  assert.equal(await page.inputValue('#try-key'), key);
  assert.equal(await page.evaluate(() => document.activeElement.id), 'try-message');
});

test('a long answer scrolls, and stop stays in sight', async (t) => {
  const page = await open(t, stack.open, { viewport: phone });
  await stack.script(['silence=120 events=200 big-event=6000']);
  await page.fill('#try-message', 'word '.repeat(200));
  await page.click('#send');
  await page.waitForFunction(() => document.getElementById('answer').scrollHeight > document.getElementById('answer').clientHeight);
  await page.waitForFunction(() => { const e = document.getElementById('answer'); return e.scrollHeight - e.scrollTop - e.clientHeight < 2; });
  for (const position of [0, 1e6]) {
    await page.evaluate((top) => document.getElementById('try').scrollIntoView({ block: top ? 'end' : 'start' }), position);
  }
  const box = await page.locator('#stop').boundingBox();
  assert.ok(box.y >= 0 && box.y + box.height <= phone.height, JSON.stringify(box));
  await page.click('#stop');
  await over(page);
  assert.equal(await page.locator('#stop').isVisible(), false);
  assert.equal(await page.evaluate(() => document.activeElement.id), 'try-message');
});

test('stop cancels the request upstream', async (t) => {
  const page = await open(t);
  await stack.script(['silence=3']);
  await page.click('#send');
  await page.waitForFunction(() => document.getElementById('answer').textContent.length > 0);
  await page.click('#stop');
  await over(page);
  assert.match(await text(page, '#figures'), /Stopped/);
  const [{ canceled }] = await stack.requests({ wait: 1, done: 1 });
  assert.ok(canceled);
});

test('a stream that breaks off says so', async (t) => {
  // Browsers log broken connections by themselves.
  const page = await open(t, stack.open, { expected: /ERR_/ });
  await stack.script(['cut=3', 'no-done', 'no-done']);
  await send(page);
  // Whether the relay's error event is still seen is a race in the browser,
  // which drops what it has not handed on when a connection breaks.
  assert.match(await text(page, '#figures'), /^The (connection broke off: the response|relay says: .*so it) is incomplete/);
  await send(page);
  assert.match(await text(page, '#figures'), /ended without its last event: the response is incomplete/);
  await send(page, { api: 'responses' });
  assert.match(await text(page, '#figures'), /ended without its last event: the response is incomplete/);
});

test('an error within a stream is shown as it was said', async (t) => {
  const said = JSON.stringify({ error: { message: 'The API fell silent.', type: 'relay_error', param: null, code: 'upstream_idle_timeout' } });
  const page = await open(t, stack.open, {
    before: (page) => page.route('**/v1/**', (route) => route.fulfill({ contentType: 'text/event-stream', body: `data: {"choi\n\ndata: ${said}\n\n` })),
  });
  for (const api of ['chat', 'responses']) {
    await send(page, { api });
    assert.match(await text(page, '#figures'), /^The relay says: The API fell silent. upstream_idle_timeout/);
  }
});

test('errors are shown as they were said', async (t) => {
  const page = await open(t, stack.open, { expected: /status of (429|502)/ });
  await stack.script(['status=429', 'close-before']);
  await send(page);
  assert.match(await text(page, '#figures'), /The API says \(429\): Rate limit reached.* rate_limit_exceeded\s+req_/);
  await send(page);
  assert.match(await text(page, '#figures'), /The relay says \(502\): The API closed the connection.* upstream_reset\s+relay_/);
  assert.ok(!(await text(page, '#page')).includes(canary));
});

test('what collects events is found out, and which upstream answered', async (t) => {
  const body = ['a', 'b', 'c', 'd', 'e'].map((content) => `data: ${JSON.stringify({ choices: [{ delta: { content } }] })}\n\n`).join('') + 'data: [DONE]\n\n';
  const page = await open(t, stack.open, {
    before: (page) => page.route('**/v1/chat/completions', (route) => route.fulfill({
      contentType: 'text/event-stream', headers: { 'X-Relay-Upstream': 'aws-us-east-1', 'X-Relay-Attempts': '2' }, body,
    })),
  });
  await send(page);
  const figures = await text(page, '#figures');
  assert.match(figures, /all at once: 5 events within .*; something buffers them/);
  assert.match(figures, /Came through\s+aws-us-east-1, attempt 2/);
});

test('without a key', async (t) => {
  const page = await openPage(t, browser, stack.open);
  await settled(page);
  await page.click('#send');
  assert.match(await text(page, '#figures'), /Enter a key first/);
  assert.equal(await page.evaluate(() => document.activeElement.id), 'try-key');
});
