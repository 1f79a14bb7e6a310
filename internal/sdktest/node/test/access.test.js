import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OpenAIRealtimeWebSocket } from 'openai/realtime/websocket';
import { OpenAIRealtimeWS } from 'openai/realtime/ws';
import { WebSocket } from 'ws';
import { apiKey, canary, chat, newClient, prompt, reply, startStack } from '../stack.js';

const stack = await startStack();

// Each place in which a client may carry the token.
for (const [name, relay, options, key] of [
  ['in the key', 'token', { apiKey: `rt_${stack.accessToken}.${apiKey}` }, apiKey],
  ['in the header', 'token', { defaultHeaders: { 'X-Relay-Token': stack.accessToken } }, apiKey],
  ['in the path', 'token', { baseURL: `${stack.token}/t/${stack.accessToken}/v1` }, apiKey],
  ['where none is needed', 'open', { apiKey: `rt_${stack.accessToken}.${apiKey}` }, apiKey],
  ['held key', 'held', { apiKey: `rt_${stack.accessToken}` }, stack.heldKey],
  ['held key, no prefix', 'held', { apiKey: stack.accessToken }, stack.heldKey],
  ['held key, the client\'s organization', 'held',
    { apiKey: stack.accessToken, organization: 'org-client', project: 'proj-client' }, stack.heldKey],
]) {
  test(`token ${name}`, async () => {
    await stack.reset();
    const client = newClient(stack[relay], options);
    const completion = await client.chat.completions.create(chat);
    assert.equal(completion.choices[0].message.content, reply(prompt));
    const requests = await stack.requests();
    assert.equal(requests.length, 1);
    checkSeen(requests, key);
  });
}

// checkSeen fails if the upstream did not see the key, or saw more than that.
function checkSeen(requests, key) {
  for (const { uri, header } of requests) {
    assert.deepEqual(header['Authorization'], [`Bearer ${key}`]);
    assert.ok(!JSON.stringify([uri, header]).includes(stack.accessToken), 'the upstream saw the access token');
    if (key === stack.heldKey) {
      assert.equal(header['Openai-Organization'] ?? header['Openai-Project'], undefined);
    }
  }
}

// echo sends events by a client of the SDK and waits for each to come back.
async function echo(realtime) {
  const failed = new Promise((_, reject) => realtime.on('error', reject));
  const opened = new Promise((resolve) => realtime.socket.addEventListener('open', resolve));
  const closed = new Promise((resolve) => realtime.socket.addEventListener('close', resolve));
  await Promise.race([opened, failed]);
  for (const event of [
    { type: 'session.update', note: canary + ' café' },
    { type: 'input_audio_buffer.append', audio: 'QUFB'.repeat(64 << 10) },
    ...Array(20).fill({ type: 'ping' }),
  ]) {
    const back = new Promise((resolve) => realtime.on('event', resolve));
    realtime.send(event);
    assert.deepEqual(await Promise.race([back, failed]), event);
    realtime.off('event');
  }
  realtime.close();
  await closed;
}

test('realtime', async () => {
  for (const base of [stack.secureUpstream, stack.secureOpen]) {
    await stack.reset();
    await echo(new OpenAIRealtimeWS({ model: 'gpt-realtime', options: { ca: stack.ca } }, newClient(base)));
    const requests = await stack.requests({ done: 1 });
    assert.equal(requests[0].uri, '/v1/realtime?model=gpt-realtime');
    checkSeen(requests, apiKey);
  }
});

test('realtime with a token in the key', async () => {
  await stack.reset();
  const client = newClient(stack.secureToken, { apiKey: `rt_${stack.accessToken}.${apiKey}` });
  await echo(new OpenAIRealtimeWS({ model: 'gpt-realtime', options: { ca: stack.ca } }, client));
  checkSeen(await stack.requests({ done: 1 }), apiKey);
});

// Browsers have no other place for the key than the subprotocols. The SDK's
// client for them takes the global WebSocket, which Node has since 22 only, and
// never one that trusts our certificate.
test('realtime as in browsers, with a token in the key', async () => {
  await stack.reset();
  const original = globalThis.WebSocket;
  globalThis.WebSocket = class extends WebSocket {
    constructor(url, protocols) {
      super(url, protocols, { ca: stack.ca });
    }
  };
  try {
    const client = newClient(stack.secureToken, { apiKey: `rt_${stack.accessToken}.${apiKey}`, dangerouslyAllowBrowser: true });
    const realtime = new OpenAIRealtimeWebSocket({ model: 'gpt-realtime', dangerouslyAllowBrowser: true }, client);
    await echo(realtime);
    assert.equal(realtime.socket.protocol, 'realtime');
  } finally {
    globalThis.WebSocket = original;
  }
  const [{ header }] = await stack.requests({ done: 1 });
  assert.equal(header['Sec-Websocket-Protocol'][0], `realtime, openai-insecure-api-key.${apiKey}`);
  assert.ok(!JSON.stringify(header).includes(stack.accessToken), 'the upstream saw the access token');
});

for (const [name, url, protocols, status] of [
  ['without a token', stack.token, ['realtime', `openai-insecure-api-key.${apiKey}`], 401],
  ['where there is no WebSocket', stack.noWebSocket, ['realtime', `openai-insecure-api-key.${apiKey}`], 426],
]) {
  test(`realtime ${name}`, async () => {
    await stack.reset();
    const socket = new WebSocket(`${url.replace('http', 'ws')}/v1/realtime?model=gpt-realtime`, protocols);
    const got = await new Promise((resolve, reject) => {
      socket.on('unexpected-response', (_, res) => resolve(res.statusCode));
      socket.on('open', () => reject(new Error('the relay let us in')));
      socket.on('error', () => {}); // of the termination below
    });
    socket.terminate();
    assert.equal(got, status);
    assert.deepEqual(await stack.requests(), []);
  });
}
