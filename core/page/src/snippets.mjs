// How to use this relay from elsewhere, with its address filled in.

import { $, copy, el, table } from './dom.mjs';
import { onLanguage, t } from './i18n.mjs';
import { base, home, relay } from './relay.mjs';

const model = 'gpt-4o-mini';

const snippets = {
  curl: (key) => `curl -N ${base}/chat/completions \\
  -H "Authorization: Bearer ${key.shell}" -H "Content-Type: application/json" \\
  -d '{"model":"${model}","stream":true,"messages":[{"role":"user","content":"Hello!"}]}'`,
  Python: (key) => `from openai import OpenAI

client = OpenAI(base_url="${base}", api_key="${key.plain}")
stream = client.chat.completions.create(
    model="${model}", stream=True, messages=[{"role": "user", "content": "Hello!"}])
for chunk in stream:
    if chunk.choices:
        print(chunk.choices[0].delta.content or "", end="", flush=True)`,
  Node: (key) => `import OpenAI from "openai";

const client = new OpenAI({ baseURL: "${base}", apiKey: "${key.plain}" });
const stream = await client.chat.completions.create({
  model: "${model}", stream: true, messages: [{ role: "user", content: "Hello!" }],
});
for await (const chunk of stream) process.stdout.write(chunk.choices[0]?.delta?.content ?? "");`,
  Go: (key) => `client := openai.NewClient(option.WithBaseURL("${base}"), option.WithAPIKey("${key.plain}"))
stream := client.Chat.Completions.NewStreaming(ctx, openai.ChatCompletionNewParams{
	Model:    "${model}",
	Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("Hello!")},
})
for stream.Next() {
	if c := stream.Current().Choices; len(c) > 0 {
		fmt.Print(c[0].Delta.Content)
	}
}`,
};

const frontEnds = () => [
  ['Open WebUI', 'Admin Panel → Settings → Connections → OpenAI API, OPENAI_API_BASE_URL', base],
  ['LobeChat', 'Settings → AI Service Provider → OpenAI → API Proxy URL, OPENAI_PROXY_URL', base],
  ['NextChat', 'Settings → Custom Endpoint → OpenAI Endpoint, BASE_URL', home.slice(0, -1)],
  ['Cherry Studio', 'Settings → Model Services → OpenAI → API Address', home.slice(0, -1)],
  [t('others'), 'OPENAI_BASE_URL', base],
];

const names = [...Object.keys(snippets), 'front_ends'];
let chosen = names[0];

export function startSnippets() {
  for (const name of names) {
    $('tabs').append(el('button', { type: 'button', role: 'tab', id: 'tab-' + name, 'aria-controls': 'snippet', onclick: () => choose(name) }));
  }
  $('tabs').addEventListener('keydown', (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const i = { Home: 0, End: names.length - 1 }[event.key] ?? (step && (names.indexOf(chosen) + step + names.length) % names.length);
    if (i == null) return;
    event.preventDefault();
    choose(names[i]);
    $('tab-' + names[i]).focus();
  });
  onLanguage(renderSnippets);
}

function choose(name) {
  chosen = name;
  renderSnippets();
}

// placeholder is what stands for the user's own key, which never gets in here.
function placeholder() {
  const { token_required, holds_key } = relay.health ?? {};
  if (holds_key) return { shell: 'rt_$RELAY_TOKEN', plain: 'rt_<token>' };
  if (token_required) return { shell: 'rt_$RELAY_TOKEN.$OPENAI_API_KEY', plain: 'rt_<token>.<your API key>' };
  return { shell: '$OPENAI_API_KEY', plain: '<your API key>' };
}

export function renderSnippets() {
  const { token_required, holds_key } = relay.health ?? {};
  $('use-hint').textContent = t(holds_key ? 'use_held' : token_required ? 'use_token' : 'use_hint');
  for (const name of names) {
    const tab = $('tab-' + name);
    tab.textContent = name === 'front_ends' ? t(name) : name;
    tab.setAttribute('aria-selected', name === chosen);
    tab.tabIndex = name === chosen ? 0 : -1;
  }
  const panel = $('snippet');
  panel.setAttribute('aria-labelledby', 'tab-' + chosen);
  if (chosen === 'front_ends') {
    panel.replaceChildren(table([t('app'), t('setting'), t('value')], frontEnds().map(([app, setting, value]) => [app, setting, el('code', null, value)])));
    return;
  }
  const text = snippets[chosen](placeholder());
  const button = el('button', { type: 'button', onclick: async () => {
    await copy(text);
    button.textContent = t('copied');
  } }, t('copy'));
  panel.replaceChildren(button, el('pre', null, text));
}
