import assert from 'node:assert/strict';
import { test } from 'node:test';
import { both, chat, failureOf, fault, newClient, prompt, startStack } from '../stack.js';

const stack = await startStack();

const streams = {
  chat: (client, options) => client.chat.completions.create({ ...chat, stream: true }, options),
  response: (client, options) => client.responses.create({ model: 'gpt-fake', input: prompt, stream: true }, options),
};

// A stream that breaks off must never look complete. Of the events before the
// cut some may be missing: Node drops what it has not handed out when it learns
// of the cut.
for (const cut of [
  'cut=0', 'cut=1', 'cut=2', 'cut=3', 'cut=4', 'cut=5', 'cut-line=0', 'cut-line=3', 'cut-utf8=0', 'cut-utf8=3',
  'reset=0', 'reset=3', 'bad-chunk=0', 'bad-chunk=3', 'gzip cut=3', 'br cut=3', 'comments cut=3',
]) {
  for (const [name, create] of Object.entries(streams)) {
    both(stack, `${name} stream: ${cut}`, async (client) => {
      let events = 0;
      await failureOf(async () => {
        for await (const event of await create(client, fault(cut))) {
          assert.ok(event);
          events++;
        }
      });
      assert.ok(events <= Number(cut.match(/\d+$/)[0]), `${events} events`);
    });
  }
}

both(stack, 'response stream: no-last-chunk', async (client) => {
  await failureOf(async () => {
    for await (const event of await streams.response(client, fault('no-last-chunk'))) {
      assert.ok(event);
    }
  });
});

test('a cut between events says what happened', async () => {
  await stack.reset();
  const failure = await failureOf(async () => {
    for await (const chunk of await streams.chat(newClient(stack.open), fault('cut=3', 'gap=1ms'))) {
      assert.ok(chunk);
    }
  });
  assert.equal(failure.class, 'APIError');
  assert.equal(failure.code, 'upstream_interrupted');
  assert.equal(await stack.hits('open'), 1);
});

// Answers other than event streams.
const bodies = {
  chat: (client, options) => client.chat.completions.create(chat, options),
  models: (client, options) => client.models.list(options),
  speech: async (client, options) =>
    (await client.audio.speech.create({ model: 'tts-fake', voice: 'alloy', input: prompt }, options)).arrayBuffer(),
  'file content': async (client, options) => (await client.files.content('file-1', options)).arrayBuffer(),
};

for (const cut of ['cut=0', 'cut=3', 'reset=3', 'bad-chunk=3', 'no-last-chunk', 'short-cl']) {
  for (const [name, call] of Object.entries(bodies)) {
    both(stack, `${name}: ${cut}`, async (client) => {
      await failureOf(() => call(client, fault(cut)));
    });
  }
}
