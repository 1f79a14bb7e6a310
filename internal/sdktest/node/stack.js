// What the tests share: the stack of ../stack, and calls through it by two routes.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import OpenAI from 'openai';
import { canary } from '../stack/stack.mjs';

export { canary, startStack } from '../stack/stack.mjs';

export const apiKey = 'sk-CANARY-client';
export const prompt = 'CANARY sings café songs in the dark';

// reply is the upstream's reply to a text; see Reply in fakeopenai.
export const reply = (text) => 'Backwards → ' + [...text].reverse().join('');

// textEvents is how many events of text a stream of the upstream has.
export const textEvents = 8;

// pattern returns the first n bytes of the upstream's binary responses; see
// Pattern in fakeopenai.
export const pattern = (n) => Uint8Array.from({ length: n }, (_, i) => i ^ (i >> 8) ^ ((i >> 16) * 7));

// newClient returns the SDK's client for a base URL without "/v1".
export function newClient(base, options = {}) {
  return new OpenAI({ baseURL: base + '/v1', apiKey, logLevel: 'off', defaultQuery: { note: canary }, ...options });
}

// both is a test that calls directly and then through a relay, and compares what
// the call returned and what the upstream saw. What it returns should be all
// that a program can observe; the call itself checks that it is right. options are
// those of the relay's client.
export function both(stack, name, call, { relay = 'open', ...options } = {}) {
  test(name, async (t) => {
    const outcomes = [];
    for (const [route, base, opts] of [['direct', stack.upstream], ['relayed', stack[relay], options]]) {
      await t.test(route, async () => {
        await stack.reset();
        const returned = await call(newClient(base, opts));
        const saw = (await stack.requests()).map(comparable);
        // A function requests identity, so that it can write into event streams.
        if (relay.startsWith('lambda')) saw.forEach(({ header }) => delete header['Accept-Encoding']);
        outcomes.push({ returned, saw });
      });
    }
    if (outcomes.length === 2) {
      assert.deepEqual(outcomes[1], outcomes[0], 'relayed (actual) and direct (expected) differ');
    }
  });
}

// comparable returns what the upstream must see of a request by either route.
function comparable({ method, uri, header, bodyBytes, bodySHA256 }) {
  header = { ...header };
  delete header['Relay-Hop']; // the one thing that a relay adds
  delete header['Connection'];
  delete header['Sec-Fetch-Mode']; // Node says it as browsers do, and relays drop what browsers say
  if (header['Content-Type']?.[0].startsWith('multipart/')) {
    // The boundary is random.
    header['Content-Type'] = header['Content-Length'] = bodyBytes = bodySHA256 = 'multipart';
  }
  return { method, uri, header, bodyBytes, bodySHA256 };
}

// failureOf returns what a program can observe of the error that call throws.
export async function failureOf(call) {
  try {
    await call();
  } catch (error) {
    return {
      class: error.constructor.name,
      status: error.status,
      code: error.code,
      type: error.type,
      param: error.param,
      message: error.message,
      requestID: error.requestID,
      retryAfterMs: error.headers?.get('retry-after-ms') ?? null,
    };
  }
  assert.fail('the SDK threw nothing');
}

// chat are the parameters of a chat completion.
export const chat = { model: 'gpt-fake', messages: [{ role: 'user', content: prompt }] };

// fault returns options of a call that tell the upstream what to do.
export const fault = (...directives) => ({ headers: { 'Fake-Fault': directives.join(' ') } });
