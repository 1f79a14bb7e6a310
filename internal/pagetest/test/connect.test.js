// How to use the relay from elsewhere, and its access token.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { canary, fits, isAccessible, json, openPage, phone, settled, standsStill, startBrowser, startStack, stubHealth, text } from '../browser.js';

const stack = await startStack();
const browser = await startBrowser();

const key = `sk-proj-${canary}0123456789abcdwxyz`;
const { clients } = JSON.parse(readFileSync(new URL('../../../core/page/src/clients.json', import.meta.url), 'utf8'));
const apps = clients.filter(({ kind }) => kind === 'chat');

const copies = (page) => page.evaluate(() => navigator.clipboard.readText());

test('each app has a row with its exact value to copy', async (t) => {
  const page = await openPage(t, browser, stack.open, { permissions: ['clipboard-read', 'clipboard-write'] });
  await settled(page);
  assert.deepEqual(await page.locator('#snippet h3').allInnerTexts(), apps.map(({ name }) => name));
  for (const [i, { name, settings }] of apps.entries()) {
    const row = page.locator('#snippet .client').nth(i);
    const want = settings[0].value.replace('{base}', stack.open + '/v1').replace('{root}', stack.open);
    assert.ok((await row.innerText()).includes(settings[0].where), name);
    assert.equal(await row.locator('code').first().innerText(), want);
    await row.locator('.copy').first().click();
    await page.waitForFunction((want) => navigator.clipboard.readText().then((text) => text === want), want);
  }
  await page.click('#lang-zh');
  for (const { where_zh } of apps.flatMap(({ settings }) => settings)) assert.ok((await text(page, '#snippet')).includes(where_zh), where_zh);
  await page.setViewportSize(phone);
  await fits(page, 'apps');
  await isAccessible(page, 'apps on a phone');
});

// opened returns what a link of the app gives it.
async function opened(page, { name, link }) {
  const href = await page.getAttribute(`#snippet a:text("Open in ${name}")`, 'href');
  const [before, after] = link.url.split('{payload}');
  assert.ok(href.startsWith(before) && href.endsWith(after), href);
  const payload = decodeURIComponent(href.slice(before.length, href.length - after.length));
  return JSON.parse(link.encode === 'base64' ? Buffer.from(payload, 'base64').toString() : payload);
}

const filled = (page, payload, secret) => JSON.parse(JSON.stringify(payload, (_, value) => {
  if (value === '{key}') return secret;
  return typeof value === 'string' ? value.replace('{base}', stack.token + '/v1').replace('{root}', stack.token) : value;
}));

test('links to apps have a key only if that is asked for', async (t) => {
  const page = await openPage(t, browser, stack.token, { expected: /401/ });
  await settled(page);
  await page.fill('#token', stack.accessToken);
  await page.fill('#try-key', key);
  for (const app of apps.filter(({ link }) => link)) {
    if (app.link.key === 'required') assert.match(await text(page, '#snippet'), new RegExp(`To open ${app.name}, include your key: tick the box below`));
    else assert.deepEqual(await opened(page, app), filled(page, app.link.payload, undefined));
  }
  assert.ok(!(await page.content()).includes(canary), 'a key is in the page');
  await page.check('#with-key');
  for (const app of apps.filter(({ link }) => link)) {
    assert.deepEqual(await opened(page, app), filled(page, app.link.payload, `rt_${stack.accessToken}.${key}`));
    assert.match(await text(page, '#snippet'), new RegExp(`Open in ${app.name}, with my key`));
  }
  await isAccessible(page, 'with a key');
  await page.uncheck('#with-key');
  assert.ok(!(await page.content()).includes(canary), 'a key is still in the page');
});

test('snippets have the base URL and the way of the token', async (t) => {
  for (const [name, shell] of [['open', '$OPENAI_API_KEY'], ['token', 'rt_$RELAY_TOKEN.$OPENAI_API_KEY'], ['held', 'rt_$RELAY_TOKEN']]) {
    const page = await openPage(t, browser, stack[name]);
    await settled(page);
    await page.click('#tab-curl');
    assert.ok((await text(page, '#snippet')).includes(`Bearer ${shell}"`), name);
  }
  const page = await openPage(t, browser, stack.open, { viewport: phone, permissions: ['clipboard-read', 'clipboard-write'] });
  await settled(page);
  await page.focus('#tab-chat');
  for (const [name, holds] of [
    ['agent', 'OpenAI Codex CLI'], ['shell', "export OPENAI_BASE_URL='…'"], ['curl', '…/chat/completions'],
    ['Python', 'base_url="…"'], ['Node', 'baseURL: "…"'], ['Go', 'option.WithBaseURL("…")'],
  ]) {
    await page.keyboard.press('ArrowRight');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'tab-' + name);
    assert.ok((await text(page, '#snippet')).includes(holds.replace('…', stack.open + '/v1')), name);
    await fits(page, name);
    await isAccessible(page, name);
  }
  await page.keyboard.press('ArrowRight');
  assert.equal(await page.getAttribute('#tab-chat', 'aria-selected'), 'true');

  await page.click('#tab-shell');
  assert.ok((await text(page, '#snippet')).includes(`$env:OPENAI_BASE_URL = '${stack.open}/v1'\n$env:OPENAI_API_KEY = '<API key>'`));
  await page.check('#with-key');
  assert.match(await text(page, '#use-hint'), /^Enter a key first/);
  await page.fill('#try-key', key);
  assert.ok((await text(page, '#snippet')).includes("$env:OPENAI_API_KEY = 'sk-proj-…wxyz'"), 'the eye sees it masked');
  await page.locator('#snippet .copy').last().click();
  await page.waitForFunction(() => /Copied/.test(document.getElementById('snippet').textContent));
  assert.equal(await copies(page), `$env:OPENAI_BASE_URL = '${stack.open}/v1'\n$env:OPENAI_API_KEY = '${key}'`);

  await page.click('#tab-agent');
  await page.click('#snippet summary >> text=Codex');
  const codex = await text(page, '#snippet');
  for (const line of [`openai_base_url = "${stack.open}/v1"`, 'wire_api = "responses"', '~/.codex/config.toml']) assert.ok(codex.includes(line), line);
  await fits(page, 'Codex');
  await isAccessible(page, 'Codex');
});

test('no model is named but one that the API lists', async (t) => {
  const page = await openPage(t, browser, stack.open);
  await settled(page);
  await page.click('#tab-curl');
  assert.ok((await text(page, '#snippet')).includes('"model":"<model>"'));
  await page.fill('#try-key', key);
  await page.click('#send');
  await page.waitForSelector('.ticks');
  assert.equal(await page.inputValue('#try-model'), 'gpt-5-mini');
  assert.ok((await text(page, '#snippet')).includes('"model":"gpt-5-mini"'));
});

test('the token is the first step where it is needed', async (t) => {
  const page = await openPage(t, browser, stack.token, { expected: /401/ });
  await settled(page);
  assert.match(await text(page, '#access'), /^Step 1 Access token\s+This relay needs one: ask whoever runs it\./);
  await standsStill(page, 'token');
  await isAccessible(page, 'token');
  for (const [typed, says] of [['wrong-token-0123456789', /✗ This token is not valid for this relay/], [`  “rt_${stack.accessToken}”\u200b`, /✓ accepted/]]) {
    await page.fill('#token', typed);
    await page.press('#token', 'Enter');
    await page.waitForFunction((says) => new RegExp(says).test(document.getElementById('token-state').textContent), says.source);
  }
  await page.fill('#try-key', key);
  await page.click('#send');
  await page.waitForSelector('.ticks');
  assert.equal(await text(page, '#answer'), 'Backwards → .sdrow ni ,net ot eno morf tnuoC !olleH');
});

test('a relay that holds the key says so', async (t) => {
  const page = await openPage(t, browser, stack.held, { expected: /401/ });
  await settled(page);
  for (const section of ['#access', '#try', '#keys']) assert.match(await text(page, section), /This relay adds its own API key: the access token is all you need\./);
  assert.equal(await page.locator('#try-key').isVisible(), false);
  await page.fill('#token', stack.accessToken);
  await page.press('#token', 'Tab');
  await page.waitForFunction(() => /✓ accepted/.test(document.getElementById('token-state').textContent));
  await isAccessible(page, 'held');
});

// withToken opens the page of the relay with named tokens and enters one of them.
async function withToken(t, name, options) {
  const page = await openPage(t, browser, stack.named, { expected: /status of 4\d\d/, timezoneId: 'UTC', ...options });
  await settled(page);
  await page.fill('#token', `${stack.accessToken}-${name}`);
  await page.press('#token', 'Enter');
  return page;
}

const tokenState = (page, says) => page.waitForFunction((says) => new RegExp(says).test(document.getElementById('token-state').textContent), says);

test("a token's own name, end and limits", async (t) => {
  const page = await withToken(t, 'alice');
  await tokenState(page, '^✓ accepted · alice$');
  await standsStill(page, 'named token');
  await page.click('#about summary');
  assert.match(await text(page, '#facts'), /Access token\s+alice · until Jan 1, 2099, 12:00\sAM\s+Token limits\s+60 requests a minute · 4 at a time/);
  await isAccessible(page, 'named token');
  await page.emulateMedia({ colorScheme: 'dark' });
  await page.click('#lang-zh');
  assert.match(await text(page, '#token-state'), /^✓ 有效 · alice$/);
  assert.match(await text(page, '#facts'), /访问令牌\s+alice · 有效期至 2099年1月1日 00:00\s+令牌限制\s+每分钟 60 次请求 · 同时 4 个/);
  await page.setViewportSize(phone);
  await fits(page, 'named token');
  await isAccessible(page, 'named token on a phone, dark');
  await page.press('#token', 'x');
  assert.equal(await text(page, '#token-state'), '');
  assert.match(await text(page, '#facts'), /访问令牌\s+需要/, 'facts of another token');
});

test('a token that soon expires', async (t) => {
  const page = await withToken(t, 'soon');
  await tokenState(page, '^! accepted · soon · expires in 3 days$');
  assert.equal(await page.getAttribute('#token-state', 'class'), 'warn');
  await page.click('#about summary');
  assert.match(await text(page, '#facts'), /Access token\s+soon · until .*\s+Token limits\s+none/);
  await isAccessible(page, 'a token that soon expires');
  await page.click('#lang-zh');
  assert.match(await text(page, '#token-state'), /^! 有效 · soon · 3天后到期$/);
});

test('a token that has expired is told as that', async (t) => {
  const page = await withToken(t, 'gone');
  await tokenState(page, '^✗ This access token has expired: ask whoever runs the relay for a new one\\.$');
  assert.equal(await page.getAttribute('#token-state', 'class'), 'bad');
  assert.equal(await page.getAttribute('#token', 'aria-invalid'), 'true');
  await page.fill('#try-key', key);
  await page.click('#send');
  await page.waitForFunction(() => /The relay says \(401\): This access token has expired.* token_expired/.test(document.getElementById('figures').innerText));
  await page.fill('#key-list', key);
  await page.click('#check');
  await page.waitForSelector('#check:visible');
  assert.match(await text(page, '#results'), /\? could not check[\s\S]*This access token has expired/);
  await isAccessible(page, 'expired');
  await page.click('#lang-zh');
  for (const part of ['#token-state', '#figures', '#results']) assert.match(await text(page, part), /此访问令牌已过期，请向运营者索取新的。/);
});

test('a token that expires while the page is open', async (t) => {
  let expired = false;
  const page = await withToken(t, 'alice', {
    before: async (page) => {
      await stubHealth(page, ({ token, upstreams, ...health }) => (expired ? health : { ...health, token, upstreams }));
      await page.route('**/v1/models', (route) => route.fulfill(json({ error: { message: 'It has expired.', type: 'relay_error', code: 'token_expired' } },
        { status: 401, headers: { 'X-Relay': 'relay; origin=relay' } })));
    },
  });
  await tokenState(page, '✓ accepted · alice');
  expired = true;
  await page.click('#recheck');
  await tokenState(page, '^✗ This access token has expired');
  expired = false;
  await settled(page);
  await page.click('#recheck');
  await tokenState(page, '✓ accepted · alice');
});

test('a token that permits only some paths', async (t) => {
  const page = await withToken(t, 'narrow');
  await tokenState(page, '^✓ accepted · narrow$');
  await page.click('#about summary');
  assert.match(await text(page, '#facts'), /Token limits\s+POST · \/v1\/chat\/completions/);
  await page.fill('#try-key', key);
  await page.click('#send');
  await page.waitForFunction(() => /The relay says \(403\): This access token does not permit that.* token_not_allowed/.test(document.getElementById('figures').innerText));
  assert.match(await text(page, '#figures'), /No chat model is listed: enter one/);
  await page.fill('#try-model', 'gpt-5-mini');
  await page.click('#send');
  await page.waitForSelector('.ticks');
  await page.click('#models');
  await page.waitForFunction(() => /does not permit that/.test(document.getElementById('model-list').innerText));
});

test('a token that has reached its limit', async (t) => {
  const page = await withToken(t, 'slow');
  await tokenState(page, '^✓ accepted · slow$');
  await page.fill('#try-key', key);
  await page.fill('#try-model', 'gpt-5-mini');
  await page.click('#send');
  await page.waitForSelector('.ticks'); // the check of the token has not used it up
  await page.click('#send');
  await page.waitForFunction(() => /The relay says \(429\): This access token has reached its limit.* token_rate_limited/.test(document.getElementById('figures').innerText));
  await page.click('#lang-zh');
  assert.match(await text(page, '#figures'), /中继返回 \(429\): 此访问令牌的请求数已达上限/);
});
