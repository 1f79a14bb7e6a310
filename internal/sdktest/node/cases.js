// Calls that tests make by several routes. Each checks that the SDK's result is
// right, and returns everything that a program can observe.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { toFile } from 'openai';
import { apiKey, both, canary, chat, failureOf, fault, newClient, pattern, prompt, reply, textEvents } from './stack.js';

export const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');

// responseEvents are the types of a whole stream, in order.
export const responseEvents = [
  'response.created', 'response.in_progress', 'response.output_item.added', 'response.content_part.added',
  ...Array(textEvents).fill('response.output_text.delta'),
  'response.output_text.done', 'response.content_part.done', 'response.output_item.done', 'response.completed',
];

// collect returns the events of a stream.
export const collect = async (stream) => {
  const events = [];
  for await (const event of await stream) {
    events.push(event);
  }
  return events;
};

// text is what the chunks of a chat say.
export const text = (chunks) => chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join('');

export async function completeChat(client) {
  const { data, request_id, response } = await client.chat.completions.create(chat).withResponse();
  assert.equal(data.choices[0].message.content, reply(prompt));
  assert.ok(request_id);
  assert.ok(response.headers.get('x-ratelimit-remaining-tokens'));
  return { data, request_id };
}

export async function streamChat(client) {
  const chunks = await collect(client.chat.completions.create({ ...chat, stream: true, stream_options: { include_usage: true } }));
  assert.equal(chunks.length, 1 + textEvents + 2); // role, text, reason of the end, usage
  assert.equal(text(chunks), reply(prompt));
  assert.equal(chunks.at(-1).usage.completion_tokens, textEvents);
  return chunks;
}

export async function streamResponse(client) {
  const events = await collect(client.responses.create({ model: 'gpt-fake', input: prompt, stream: true }));
  assert.deepEqual(events.map((event) => event.type), responseEvents);
  assert.deepEqual(events.map((event) => event.sequence_number), responseEvents.map((_, i) => i));
  assert.equal(events.map((event) => (event.type === 'response.output_text.delta' ? event.delta : '')).join(''), reply(prompt));
  return events;
}

export async function speak(client) {
  const res = await client.audio.speech.create({ model: 'tts-fake', voice: 'alloy', input: prompt }, fault('bytes=1000000'));
  const bytes = new Uint8Array(await res.arrayBuffer());
  assert.equal(sha256(bytes), sha256(pattern(1_000_000)));
  return { status: res.status, type: res.headers.get('content-type'), size: bytes.length };
}

export async function transcribe(client) {
  const bytes = pattern(777_777);
  const res = await client.audio.transcriptions.create({ model: 'whisper-fake', file: await toFile(bytes, canary + '.mp3') });
  assert.equal(res.text, `${bytes.length} bytes, sha256 ${sha256(bytes)}`);
  return res;
}

// testCalls makes these calls through a relay on a platform. client holds options
// of the SDK's client.
export function testCalls(stack, relay, client) {
  for (const call of [completeChat, streamChat, streamResponse, speak, transcribe]) {
    both(stack, call.name, call, { relay, ...client });
  }
  test('wrong token', async () => {
    await stack.reset();
    const wrong = newClient(stack[relay], { apiKey: `rt_wrong${canary}.${apiKey}` });
    const failure = await failureOf(() => wrong.chat.completions.create(chat));
    assert.deepEqual([failure.class, failure.status, failure.code], ['AuthenticationError', 401, 'invalid_access_token']);
    assert.deepEqual(await stack.requests(), []);
    if (relay !== 'worker') { // which is not behind a counter
      assert.equal(await stack.hits(relay), 1);
    }
  });
}
