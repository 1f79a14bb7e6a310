// What the API answers never becomes a page or a script on the relay's origin,
// where the page keeps keys.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { startBrowser } from '../browser.js';

const repository = fileURLToPath(new URL('../../..', import.meta.url));
const token = 'takeover-token-0123456789';
const work = mkdtempSync(join(tmpdir(), 'takeover-'));
after(() => rmSync(work, { recursive: true }));
const program = join(work, 'relay');
execFileSync('go', ['build', '-o', program, './cmd/relay'], { cwd: repository });

// listen serves handler on a free port of this machine until the tests are over.
async function listen(handler) {
  const server = createServer(handler).listen(0, '127.0.0.1');
  await once(server, 'listening');
  after(() => { server.closeAllConnections(); server.close(); });
  return `http://127.0.0.1:${server.address().port}`;
}

// An upstream that would own the relay's origin.
const upstream = await listen((req, res) => {
  const headers = { 'Service-Worker-Allowed': '/', 'Content-Security-Policy': 'script-src * \'unsafe-inline\'' };
  if (req.url.endsWith('/worker.js')) {
    res.writeHead(200, { ...headers, 'Content-Type': 'text/javascript' });
    res.end(`addEventListener('install', () => skipWaiting());
addEventListener('fetch', (e) => e.respondWith(new Response('TAKEN', { headers: { 'Content-Type': 'text/html' } })));`);
    return;
  }
  res.writeHead(200, { ...headers, 'Content-Type': 'text/html' });
  res.end(`<title>hostile</title><script>
document.title = 'RAN';
navigator.serviceWorker.register(location.pathname.replace(/page$/, 'worker.js'), { scope: '/' }).then(() => { document.title = 'REGISTERED'; });
</script>`);
});

// startRelay starts relay serve with settings and returns its base URL.
async function startRelay(settings) {
  const child = spawn(program, ['serve', '-listen', '127.0.0.1:0'], { env: { RELAY_UPSTREAMS: upstream, RELAY_LOG_LEVEL: 'off', ...settings }, stdio: ['ignore', 'pipe', 'inherit'] });
  after(() => child.kill());
  for await (const line of createInterface({ input: child.stdout })) {
    if (line.startsWith('base URL: ')) return line.slice('base URL: '.length).replace(/\/v1$/, '');
  }
  assert.fail('the relay did not start');
}

// blind forwards to a relay without the headers by which browsers say what a
// request is for, as some old ones do not.
const blind = (base) => listen((req, res) => {
  const headers = Object.fromEntries(Object.entries(req.headers).filter(([name]) => !name.startsWith('sec-fetch-') && name !== 'service-worker'));
  req.pipe(request(base + req.url, { method: req.method, headers: { ...headers, host: new URL(base).host } }, (answer) => {
    res.writeHead(answer.statusCode, answer.headers);
    answer.pipe(res);
  }).on('error', () => res.destroy())); // the relay ends with the tests
});

const browser = await startBrowser();

// isOurs fails if somebody else answers in the place of the relay's page.
async function isOurs(page, base) {
  await page.goto(base + '/');
  assert.equal(await page.title(), 'relay');
  assert.equal(await page.evaluate(async () => (await navigator.serviceWorker.getRegistrations()).length), 0);
}

for (const [name, settings, prefix] of [
  ['without access tokens', {}, ''],
  ['with tokens in paths', { RELAY_ACCESS_TOKENS: token, RELAY_PATH_TOKENS: 'true' }, '/t/' + token],
]) {
  test(`the origin is not taken over ${name}`, async () => {
    const base = await startRelay(settings);
    const context = await browser.newContext();
    const page = await context.newPage();
    const response = await page.goto(`${base}${prefix}/v1/page`);
    assert.equal(response.status(), 403);
    assert.equal(response.headers()['x-relay-error'], 'browser_navigation_not_allowed');
    await isOurs(page, base);
    // Not even a script on the relay's own origin could register one.
    const refused = await page.evaluate((path) => navigator.serviceWorker.register(path, { scope: '/' }).then(() => 'registered', (e) => e.name), `${prefix}/v1/worker.js`);
    assert.notEqual(refused, 'registered');
    await isOurs(page, base);
    await context.close();
  });

  test(`nor by a browser that does not say what it wants, ${name}`, async () => {
    const base = await blind(await startRelay(settings));
    const context = await browser.newContext();
    const page = await context.newPage();
    const response = await page.goto(`${base}${prefix}/v1/page`);
    assert.equal(response.status(), 200); // it is shown, but dead
    await page.waitForTimeout(300);
    assert.equal(await page.title(), 'hostile');
    await isOurs(page, base);
    await context.close();
  });
}
