import assert from 'node:assert/strict';
import { toFile } from 'openai';
import { completeChat, sha256, speak, transcribe } from '../cases.js';
import { both, canary, fault, pattern, prompt, reply, startStack } from '../stack.js';

const stack = await startStack();

both(stack, 'chat completion', completeChat);

both(stack, 'response', async (client) => {
  const res = await client.responses.create({ model: 'gpt-fake', input: prompt });
  assert.equal(res.output_text, reply(prompt));
  return res;
});

both(stack, 'embeddings as floats and as base64', async (client) => {
  const params = { model: 'embed-fake', input: [prompt, 'another'], dimensions: 16 };
  const floats = await client.embeddings.create({ ...params, encoding_format: 'float' });
  const raw = await client.embeddings.create({ ...params, encoding_format: 'base64' });
  const decoded = await client.embeddings.create(params); // base64 on the wire
  assert.equal(decoded.data[1].embedding.length, 16);
  floats.data.forEach(({ embedding }, i) => {
    assert.deepEqual(decoded.data[i].embedding, embedding.map(Math.fround));
  });
  assert.equal(typeof raw.data[0].embedding, 'string');
  return { floats, raw, decoded };
});

both(stack, 'models', async (client) => {
  const list = [];
  for await (const model of client.models.list()) {
    list.push(model);
  }
  assert.ok(list.length > 5);
  const one = await client.models.retrieve('ft:gpt-4o-mini:acme::id');
  assert.equal(one.id, 'ft:gpt-4o-mini:acme::id');
  const deleted = await client.models.delete('ft:gpt-4o-mini:acme::id');
  assert.equal(deleted.deleted, true);
  return { list, one, deleted };
});

both(stack, 'file upload', async (client) => {
  const bytes = pattern(5 << 20);
  const file = await client.files.create({ file: await toFile(bytes, canary + '.jsonl'), purpose: 'user_data' });
  assert.equal(file.filename, canary + '.jsonl');
  assert.equal(file.bytes, bytes.length);
  assert.equal(file.sha256, sha256(bytes));
  return file;
});

for (const size of [0, 1, 3_000_000]) {
  both(stack, `file content of ${size} bytes`, async (client) => {
    const res = await client.files.content('file-1', fault(`bytes=${size}`));
    const bytes = new Uint8Array(await res.arrayBuffer());
    assert.equal(sha256(bytes), sha256(pattern(size)));
    return { status: res.status, type: res.headers.get('content-type'), length: res.headers.get('content-length'), size: bytes.length };
  });
}

both(stack, 'speech', speak);

both(stack, 'transcription', transcribe);
