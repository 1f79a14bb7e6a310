// Calls the relay by the SDK that the first argument names, once for a response
// in one piece and once for one that is streamed, and prints what came as JSON:
// {"whole": text, "streamed": text, "pieces": number of pieces of text, "error":
// that of the stream}.
// RELAY_ROOT is the relay's address without "/v1", RELAY_KEY the API key, and
// RELAY_PROMPT what to say.

const { RELAY_ROOT: root, RELAY_KEY: apiKey, RELAY_PROMPT: prompt } = process.env;
const baseURL = root + '/v1';

// gather returns what the pieces of a stream say, and the error if it has one.
async function gather(stream, textOf) {
  const pieces = [];
  let error = '';
  try {
    for await (const event of stream) {
      const text = textOf(event);
      if (text) pieces.push(text);
    }
  } catch (e) {
    error = String(e?.message ?? e);
  }
  return { streamed: pieces.join(''), pieces: pieces.length, error };
}

// chat calls chat completions by a client of the OpenAI SDK.
async function chat(client) {
  const call = { model: 'gpt-5-mini', messages: [{ role: 'user', content: prompt }] };
  const whole = await client.chat.completions.create(call);
  return {
    whole: whole.choices[0].message.content,
    ...await gather(await client.chat.completions.create({ ...call, stream: true }), (e) => e.choices[0]?.delta.content),
  };
}

// agent runs an agent of the Agents SDK.
async function agent(useWebSocket) {
  const { Agent, OpenAIProvider, Runner } = await import('@openai/agents');
  const modelProvider = new OpenAIProvider({ baseURL, apiKey, useResponses: true, useResponsesWebSocket: useWebSocket });
  const runner = new Runner({ modelProvider, tracingDisabled: true });
  const parrot = new Agent({ name: 'parrot', instructions: 'Speak.', model: 'gpt-5-mini' });
  const whole = await runner.run(parrot, prompt);
  const result = await runner.run(parrot, prompt, { stream: true });
  const got = { whole: whole.finalOutput, ...await gather(result.toTextStream(), (text) => text) };
  await result.completed.catch(() => {}); // gather has told
  await modelProvider.close?.();
  return got;
}

const calls = {
  openai: async () => chat(new (await import('openai')).OpenAI({ baseURL, apiKey })),
  gemini: async () => chat(new (await import('openai')).OpenAI({ baseURL: root + '/v1beta/openai', apiKey })),
  azure: async () => chat(new (await import('openai')).OpenAI({ baseURL, apiKey })),
  azureDeployments: async () => chat(new (await import('openai')).AzureOpenAI({ endpoint: root, apiKey, apiVersion: '2024-10-21' })),
  agents: () => agent(false),
  agentsWebSocket: () => agent(true),

  aiSDK: async () => {
    const { generateText, streamText } = await import('ai');
    const { createOpenAI } = await import('@ai-sdk/openai');
    const call = { model: createOpenAI({ baseURL, apiKey })('gpt-5-mini'), prompt };
    const whole = (await generateText(call)).text;
    return {
      whole,
      ...await gather(streamText({ ...call, onError: () => {} }).fullStream, (part) => {
        if (part.type === 'error') throw part.error;
        return part.type === 'text-delta' ? part.text : '';
      }),
    };
  },

  langchain: async () => {
    const { ChatOpenAI } = await import('@langchain/openai');
    const model = new ChatOpenAI({ model: 'gpt-4o-mini', apiKey, configuration: { baseURL } });
    return { whole: (await model.invoke(prompt)).text, ...await gather(await model.stream(prompt), (chunk) => chunk.text) };
  },

  anthropic: async () => {
    const { Anthropic } = await import('@anthropic-ai/sdk');
    const client = new Anthropic({ baseURL: root, apiKey });
    const call = { model: 'claude-opus-5-5', max_tokens: 100, messages: [{ role: 'user', content: prompt }] };
    const whole = await client.messages.create(call);
    return {
      whole: whole.content[0].text,
      ...await gather(await client.messages.create({ ...call, stream: true }), (e) => e.delta?.text),
    };
  },
};

console.log(JSON.stringify(await calls[process.argv[2]]()));
process.exit(0); // not when idle connections have closed
