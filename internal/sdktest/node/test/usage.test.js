// What a relay logs of usage is what the SDK reports.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { collect } from '../cases.js';
import { chat, fault, newClient, prompt, startStack } from '../stack.js';

const stack = await startStack();

const spentChat = ({ model, usage }) => ({
  model,
  input_tokens: usage.prompt_tokens,
  cached_tokens: usage.prompt_tokens_details.cached_tokens,
  output_tokens: usage.completion_tokens,
  reasoning_tokens: usage.completion_tokens_details.reasoning_tokens,
  total_tokens: usage.total_tokens,
});

const spentResponse = ({ model, usage }) => ({
  model,
  input_tokens: usage.input_tokens,
  cached_tokens: usage.input_tokens_details.cached_tokens,
  output_tokens: usage.output_tokens,
  reasoning_tokens: usage.output_tokens_details.reasoning_tokens,
  total_tokens: usage.total_tokens,
});

test('usage in the log', async () => {
  const plain = newClient(stack.usage, { defaultHeaders: { 'Accept-Encoding': 'identity' } });
  const streamed = { ...chat, stream: true, stream_options: { include_usage: true } };
  const response = { model: 'gpt-fake', input: prompt };
  const want = [
    spentChat(await plain.chat.completions.create(chat)),
    spentChat((await collect(plain.chat.completions.create(streamed, fault('events=300')))).at(-1)),
    spentResponse(await plain.responses.create(response)),
    spentResponse((await collect(plain.responses.create({ ...response, stream: true }))).at(-1).response),
  ];
  await collect(plain.chat.completions.create({ ...chat, stream: true }));
  want.push({ usage: 'unknown' });
  await newClient(stack.usage).chat.completions.create(chat, fault('gzip'));
  want.push({ usage: 'unknown' });

  assert.ok(want[0].input_tokens > 0 && want[0].cached_tokens > 0 && want[1].output_tokens === 300, JSON.stringify(want));
  const { records } = await stack.log();
  const fields = new Set(['usage', ...Object.keys(want[0])]);
  const logged = records.trim().split('\n').map(JSON.parse).filter(({ msg }) => msg === 'request')
    .map((line) => Object.fromEntries(Object.entries(line).filter(([name]) => fields.has(name))));
  assert.deepEqual(logged, want);
});
