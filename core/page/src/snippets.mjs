// How to use this relay from elsewhere, with its address filled in.

import { clients } from './clients.json';
import { $, copyButton, el } from './dom.mjs';
import { isChinese, onLanguage, t } from './i18n.mjs';
import { base, home, relay } from './relay.mjs';
import { joined, mask } from './text.mjs';
import { chatKey, chosenModel } from './tryit.mjs';

const root = home.slice(0, -1);

const snippets = {
  curl: `curl -N {base}/chat/completions \\
  -H "Authorization: Bearer {shell}" -H "Content-Type: application/json" \\
  -d '{"model":"{model}","stream":true,"messages":[{"role":"user","content":"Hello!"}]}'`,
  Python: `from openai import OpenAI

client = OpenAI(base_url="{base}", api_key="{key}")
stream = client.chat.completions.create(
    model="{model}", stream=True, messages=[{"role": "user", "content": "Hello!"}])
for chunk in stream:
    if chunk.choices:
        print(chunk.choices[0].delta.content or "", end="", flush=True)`,
  Node: `import OpenAI from "openai";

const client = new OpenAI({ baseURL: "{base}", apiKey: "{key}" });
const stream = await client.chat.completions.create({
  model: "{model}", stream: true, messages: [{ role: "user", content: "Hello!" }],
});
for await (const chunk of stream) process.stdout.write(chunk.choices[0]?.delta?.content ?? "");`,
  Go: `client := openai.NewClient(option.WithBaseURL("{base}"), option.WithAPIKey("{key}"))
stream := client.Chat.Completions.NewStreaming(ctx, openai.ChatCompletionNewParams{
	Model:    "{model}",
	Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("Hello!")},
})
for stream.Next() {
	if c := stream.Current().Choices; len(c) > 0 {
		fmt.Print(c[0].Delta.Content)
	}
}`,
};

// assignments sets environment variables in the languages of two shells.
const assignments = (env) => [
  ['bash, zsh', Object.entries(env).map(([name, value]) => `export ${name}='${value}'`).join('\n')],
  ['PowerShell', Object.entries(env).map(([name, value]) => `$env:${name} = '${value}'`).join('\n')],
];

const panels = {
  chat: () => clients.filter(({ kind }) => kind === 'chat').map(chatRow),
  agent: () => clients.filter(({ kind }) => kind === 'agent').map(codeRow),
  shell: () => assignments({ OPENAI_BASE_URL: '{base}', OPENAI_API_KEY: '{key}' }).map(([name, text]) => block(text, name)),
  ...Object.fromEntries(Object.keys(snippets).map((name) => [name, () => block(snippets[name])])),
};
const names = Object.keys(panels);
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
  $('with-key').addEventListener('change', renderSnippets);
  onLanguage(renderSnippets);
}

function choose(name) {
  chosen = name;
  renderSnippets();
}

// credential is what a client sends as its API key: the user's own if that is
// asked for, or words in its place.
function credential() {
  const { token_required, holds_key } = relay.health ?? {};
  const key = holds_key ? '' : chatKey();
  if ($('with-key').checked && (!token_required || relay.token) && (holds_key || key)) {
    const own = token_required ? 'rt_' + [relay.token, key].filter(Boolean).join('.') : key;
    return { own, plain: own, shell: own };
  }
  return placeholder({ token_required, holds_key });
}

function placeholder({ token_required, holds_key }) {
  if (holds_key) return { shell: 'rt_$RELAY_TOKEN', plain: t('place_held') };
  if (token_required) return { shell: 'rt_$RELAY_TOKEN.$OPENAI_API_KEY', plain: `${t('place_held')}.${t('place_key')}` };
  return { shell: '$OPENAI_API_KEY', plain: t('place_key') };
}

const fill = (text, { plain, shell }) => text.replace(/\{(base|root|key|shell|model)\}/g, (_, name) =>
  ({ base, root, key: plain, shell, model: chosenModel() || t('place_model') })[name]);

// shown is what is filled in for the eye, which may be a camera's.
function shown(text) {
  const { own, plain, shell } = credential();
  return fill(text, own ? { plain: mask(own), shell: mask(own) } : { plain, shell });
}

const copied = (text) => copyButton(() => fill(text, credential()));

const block = (text, heading) => el('div', { class: 'block' },
  el('div', { class: 'bar' }, el('span', null, heading), copied(text)), el('pre', null, shown(text)));

// chatRow tells what to put where in an app with menus.
function chatRow({ name, settings, link }) {
  return el('div', { class: 'client' }, el('h3', null, name),
    settings.map(({ where, where_zh, value }) => el('div', null,
      el('p', { class: 'hint' }, (isChinese() && where_zh) || where),
      el('div', { class: 'row' }, el('code', { class: 'grow' }, shown(value)), copied(value), link && opener(name, link)))));
}

// codeRow tells what to write where for a program with files or variables.
function codeRow({ name, env, snippets = [] }) {
  const blocks = snippets.map(({ file, when, when_zh, text }) =>
    block(text, joined([file, (isChinese() && when_zh) || when])));
  if (env) blocks.push(...assignments(env).map(([shell, text]) => block(text, shell)));
  return el('details', { class: 'client' }, el('summary', null, name), blocks);
}

// opener returns a link that opens an app with this relay filled in. A key gets
// into it only if that is asked for.
function opener(name, { url, payload, encode, key: wants }) {
  const { own } = credential();
  if (wants === 'required' && !own) return el('span', { class: 'hint' }, t('open_needs_key', { name }));
  const put = (value) => {
    if (value === '{key}') return own;
    if (typeof value === 'string') return fill(value, {});
    if (Array.isArray(value)) return value.map(put);
    return Object.fromEntries(Object.entries(value).map(([field, inner]) => [field, put(inner)]));
  };
  const json = JSON.stringify(put(payload)); // without what is undefined
  const text = encode === 'base64' ? btoa(String.fromCharCode(...new TextEncoder().encode(json))) : json;
  return el('a', {
    class: 'button', href: url.replace('{payload}', encodeURIComponent(text)), ...(/^https:/.test(url) && { target: '_blank' }), rel: 'noopener noreferrer',
  }, t(own ? 'open_in_key' : 'open_in', { name }));
}

export function renderSnippets() {
  const health = relay.health ?? {};
  $('use-hint').textContent = t($('with-key').checked && !credential().own ? 'no_keys'
    : health.holds_key || health.token_required ? 'use_token' : 'use_hint', { key: placeholder(health).plain });
  for (const name of names) {
    const tab = $('tab-' + name);
    tab.textContent = name in snippets ? name : t('tab_' + name);
    tab.setAttribute('aria-selected', name === chosen);
    tab.tabIndex = name === chosen ? 0 : -1;
  }
  const panel = $('snippet');
  panel.setAttribute('aria-labelledby', 'tab-' + chosen);
  const open = [...panel.querySelectorAll('details')].map((details) => details.open);
  panel.replaceChildren(...[panels[chosen]()].flat());
  if (panel.dataset.of === chosen) panel.querySelectorAll('details').forEach((details, i) => (details.open = open[i]));
  panel.dataset.of = chosen;
}
