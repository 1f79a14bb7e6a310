// Models: which are listed, and which of them chats for the least.

import { ask } from './relay.mjs';

// What is listed beside the models that chat.
const others = new RegExp('embed|whisper|tts|audio|realtime|transcri|translat|moderation|image|dall-e|sora|video|search|' +
  'instruct|davinci|babbage|computer-use|deep-research|codex|rerank|speech|-live|guard', 'i');

// What models of a low price are called, and those of a high one. There is no
// price in the list.
const prices = [/nano|tiny/i, /(?<!ge)mini|flash|lite|small|haiku/i, /^(?!.*(-pro|opus|ultra))/i];

// cheapest returns the id of the model that seems to chat for the least, or "":
// of the same price the newest, and a name rather than one of its dated versions.
export function cheapest(models) {
  const rank = ({ id, created }) => {
    const price = prices.findIndex((name) => name.test(id));
    return [price < 0 ? prices.length : price, /^ft:/.test(id) ? 1 : 0, /\d{4}-\d\d-\d\d|-\d{4}$/.test(id) ? 1 : 0, -(created ?? 0)];
  };
  const compare = (a, b) => {
    const [x, y] = [rank(a), rank(b)];
    const i = x.findIndex((value, j) => value !== y[j]);
    return i < 0 ? b.id.localeCompare(a.id, 'en', { numeric: true }) : x[i] - y[i];
  };
  return models.filter(({ id }) => !others.test(id)).sort(compare)[0]?.id ?? '';
}

const lists = new Map(); // by key

// modelsFor returns the models that are listed for a key, or a failure.
export async function modelsFor(key, signal) {
  if (lists.has(key)) return { models: lists.get(key) };
  const { failure, json, headers } = await ask('v1/models', { key, signal });
  if (failure) return { failure, headers };
  if (!Array.isArray(json.data)) return { failure: { word: 'no_list' } };
  const models = json.data.filter((model) => typeof model?.id === 'string');
  lists.set(key, models);
  return { models, headers };
}

export const forgetModels = () => lists.clear();
