import assert from 'node:assert/strict';
import { test } from 'node:test';
import { completeChat, speak, streamChat, streamResponse, transcribe } from '../cases.js';
import { bodies, bodyCuts, meetCut, streamCuts, streams } from '../cuts.js';
import { apiKey, both, canary, chat, failureOf, fault, newClient, startStack } from '../stack.js';

const stack = await startStack({ lambda: true });

// The functions want a token.
const token = { apiKey: `rt_${stack.accessToken}.${apiKey}` };

// looks are the ways in which the platform may show an answer that broke off.
// Which one it is today is not documented.
const looks = ['lambda', 'lambdaClean'];

for (const [name, call] of [
  ['chat completion', completeChat],
  ['chat stream', streamChat],
  ['response stream', streamResponse],
  ['speech', speak],
  ['transcription', transcribe],
]) {
  both(stack, name, call, { relay: 'lambda', ...token });
}

test('wrong token', async () => {
  await stack.reset();
  const client = newClient(stack.lambda, { apiKey: `rt_wrong${canary}.${apiKey}` });
  const failure = await failureOf(() => client.chat.completions.create(chat));
  assert.deepEqual([failure.class, failure.status, failure.code], ['AuthenticationError', 401, 'invalid_access_token']);
  assert.equal(await stack.hits('lambda'), 1);
  assert.deepEqual(await stack.requests(), []);
});

for (const relay of looks) {
  for (const name of Object.keys(streams)) {
    for (const cut of streamCuts) {
      both(stack, `${relay}: ${name} stream: ${cut}`, (client) => meetCut(client, name, cut), { relay, ...token });
    }
  }
  both(stack, `${relay}: response stream: no-last-chunk`, (client) => meetCut(client, 'response', 'no-last-chunk'), { relay, ...token });
  // Directly the SDK finds that in the midst of an answer; here the status must
  // tell.
  for (const name of ['chat', 'models']) {
    for (const cut of bodyCuts) {
      test(`${relay}: ${name}: ${cut}`, async () => {
        await stack.reset();
        const failure = await failureOf(() => bodies[name](newClient(stack[relay], { ...token, maxRetries: 0 }), fault(cut)));
        assert.deepEqual([failure.class, failure.status, failure.code], ['InternalServerError', 502, 'upstream_interrupted']);
        assert.equal((await stack.requests()).length, 1);
      });
    }
  }
}

// Bytes that break off, which are held back and become a 502.
for (const relay of looks) {
  for (const name of ['speech', 'file content']) {
    for (const cut of bodyCuts) {
      test(`${relay}: ${name}: ${cut}`, async () => {
        await stack.reset();
        await failureOf(() => bodies[name](newClient(stack[relay], { ...token, maxRetries: 0 }), fault(cut)));
        assert.equal((await stack.requests()).length, 1);
      });
    }
  }
}
