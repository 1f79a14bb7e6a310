// The ways in which responses are truncated, and the calls that meet them.

import assert from 'node:assert/strict';
import { chat, failureOf, fault, prompt } from './stack.js';

export const streamCuts = [
  'cut=0', 'cut=1', 'cut=2', 'cut=3', 'cut=4', 'cut=5', 'cut-line=0', 'cut-line=3', 'cut-utf8=0', 'cut-utf8=3',
  'reset=0', 'reset=3', 'bad-chunk=0', 'bad-chunk=3', 'gzip cut=3', 'br cut=3', 'comments cut=3',
];

export const streams = {
  chat: (client, options) => client.chat.completions.create({ ...chat, stream: true }, options),
  response: (client, options) => client.responses.create({ model: 'gpt-fake', input: prompt, stream: true }, options),
};

// meetCut streams a truncated response, which must never look complete. Of
// the events before the cut some may be missing: Node drops what it has not
// handed out when it learns of the cut.
export async function meetCut(client, name, cut) {
  let events = 0;
  await failureOf(async () => {
    for await (const event of await streams[name](client, fault(cut))) {
      assert.ok(event);
      events++;
    }
  });
  const whole = cut.match(/=(\d+)$/);
  assert.ok(!whole || events <= Number(whole[1]), `${events} events`);
}

export const bodyCuts = ['cut=0', 'cut=3', 'reset=3', 'bad-chunk=3', 'no-last-chunk', 'short-cl'];

// Responses other than event streams.
export const bodies = {
  chat: (client, options) => client.chat.completions.create(chat, options),
  models: (client, options) => client.models.list(options),
  speech: async (client, options) =>
    (await client.audio.speech.create({ model: 'tts-fake', voice: 'alloy', input: prompt }, options)).arrayBuffer(),
  'file content': async (client, options) => (await client.files.content('file-1', options)).arrayBuffer(),
};
