// How to use the relay from elsewhere, and its access token.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { canary, fits, isAccessible, openPage, phone, settled, standsStill, startBrowser, startStack, text } from '../browser.js';

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
  for (const [typed, says] of [['wrong-token-0123456789', /✗ This relay does not know that token/], [`  “rt_${stack.accessToken}”\u200b`, /✓ accepted/]]) {
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
