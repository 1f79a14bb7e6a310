// The page's words, English and Simplified Chinese, and which of them to show.

export const words = {
  skip: ['Skip to the first chat', '跳到首次对话'],
  language: ['Language', '语言'],
  footer: ['This page talks to this relay only. It sets no cookie and keeps nothing, unless you let it keep your keys in this tab.',
    '本页面只与此中继通信，不设置 Cookie；除非你选择在此标签页中保留密钥，否则不保存任何内容。'],

  status: ['Status', '状态'],
  base_url: ['Base URL', '基础 URL（Base URL）'],
  copy: ['Copy', '复制'],
  copied: ['Copied', '已复制'],
  check_again: ['Check again', '重新检查'],
  checking: ['Checking…', '检查中…'],
  all_well: ['This relay works. Put the base URL where your OpenAI client has its own.', '中继工作正常。把基础 URL 填到你的 OpenAI 客户端里即可。'],
  not_well: ['This relay answers, but something is wrong: see below.', '中继有应答，但存在问题，见下文。'],
  region: ['Region', '区域'],
  version: ['Version', '版本'],
  platform: ['Platform', '平台'],
  api_reach: ['API', 'API'],
  reachable: ['reachable, {ms}', '可达，{ms}'],
  streaming: ['Streaming', '流式传输'],
  stream_one: ['one by one, {n} over {ms}', '逐个到达，{n} 个历时 {ms}'],
  stream_once: ['all together: something on the way collects events', '一次性到达：途中有环节在缓冲'],
  stream_broken: ['the test stream broke off', '测试流中断'],
  token_fact: ['Access token', '访问令牌'],
  needed: ['needed', '需要'],
  not_needed: ['not needed', '不需要'],
  key_fact: ['API key', 'API 密钥'],
  key_held: ['the relay holds it', '由中继持有'],
  key_yours: ['yours', '使用你自己的'],
  body_limit: ['Largest request', '请求上限'],
  websocket: ['WebSocket', 'WebSocket'],
  yes: ['yes', '支持'],
  no: ['no', '不支持'],
  up_region: ['OpenAI refuses this region: deploy the relay in another one', 'OpenAI 拒绝此区域：请把中继部署到其他区域'],
  up_connect: ['the relay cannot connect to the API', '中继无法连接 API'],
  up_reset: ['the API breaks the connection off', 'API 中断了连接'],
  up_timeout: ['the API does not answer in time', 'API 未及时应答'],
  up_status: ['the API answers with the unexpected status {status}', 'API 返回了意外的状态码 {status}'],

  gateway: ['Gateway', '网关'],
  gateway_live: ['Live, every two seconds.', '实时，每两秒更新。'],
  gateway_stale: ['The relay does not answer: what stands here is old.', '中继没有应答：以下为旧数据。'],
  upstream: ['Upstream', '上游'],
  state: ['State', '状态'],
  latency: ['Latency', '延迟'],
  in_flight: ['In flight', '进行中'],
  up: ['up', '正常'],
  suspect: ['suspect', '可疑'],
  down: ['down', '不可用'],
  retry_in: ['tried again in {ms}', '{ms} 后重试'],
  news: ['{name}: {state}', '{name}:{state}'],

  use: ['Use it', '接入'],
  use_hint: ['Your API key goes where it always goes.', 'API 密钥仍填在原来的位置。'],
  use_token: ['Put the access token in front of your API key: rt_<token>.<key>.', '把访问令牌放在 API 密钥之前：rt_<令牌>.<密钥>。'],
  use_held: ['The access token is the API key: rt_<token>.', '访问令牌即为 API 密钥：rt_<令牌>。'],
  front_ends: ['Chat front ends', '聊天前端'],
  app: ['Front end', '前端'],
  setting: ['Setting', '设置项'],
  value: ['Value', '值'],
  others: ['Official SDKs, many tools', '官方 SDK 及多数工具'],

  keys: ['Keys', '密钥'],
  keys_hint: ['Checked from this browser, through this relay; the relay keeps and logs none.', '由浏览器经此中继检查；中继不保存也不记录密钥。'],
  token: ['Access token', '访问令牌'],
  token_needed: ['This relay needs one; its operator has it.', '此中继需要访问令牌，请向运营者索取。'],
  token_free: ['This relay needs none.', '此中继不需要。'],
  key_list: ['API keys, one per line', 'API 密钥，每行一个'],
  show: ['Show', '显示明文'],
  keep: ['Keep in this tab', '在此标签页中保留'],
  probe: ['Also ask each for one word, which shows limits and credit (costs a trifle)', '同时让每个密钥回答一个词，以显示限额和余额是否可用（费用极小）'],
  check: ['Check', '检查'],
  clear_invalid: ['Clear invalid', '清除无效密钥'],
  export: ['Export CSV', '导出 CSV'],
  no_keys: ['Enter a key first, such as sk-…', '请先输入密钥，例如 sk-…'],
  progress: ['{done} of {all} checked, {valid} valid, {invalid} invalid', '已检查 {done}/{all}，有效 {valid}，无效 {invalid}'],
  valid: ['valid', '有效'],
  invalid: ['invalid', '无效'],
  limited: ['limited', '受限'],
  refused: ['refused', '被拒绝'],
  unknown: ['not known', '未知'],
  malformed: ['This has a character that no key has.', '包含密钥中不会出现的字符。'],
  kind: ['Kind', '类型'],
  kind_api: ['API key', 'API 密钥'],
  kind_admin: ['admin key', '管理密钥'],
  kind_session: ['session key', '会话密钥'],
  kind_held: ["the relay's own key", '中继自有密钥'],
  models: ['Models', '模型'],
  models_n: ['{n} models', '{n} 个模型'],
  limits: ['Rate limits', '速率限制'],
  limit_one: ['{left} of {limit} {what} left, full again in {reset}', '{what} 剩余 {left}/{limit}，{reset} 后恢复'],
  requests: ['requests', '请求'],
  tokens: ['tokens', 'tokens'],
  limits_unsaid: ['OpenAI tells them with answers only: tick the box above.', 'OpenAI 仅在回答时给出：请勾选上方选项。'],
  one_word: ['One word', '一个词'],
  one_word_ok: ['answered by {model}: there is credit', '{model} 已回答：仍有余额'],
  balance: ['Balance', '余额'],
  credit: ['{left} left of {granted}, {used} used', '剩余 {left}，共 {granted}，已用 {used}'],
  credit_left: ['{left} left', '剩余 {left}'],
  limit_month: ['limit {limit} a month', '每月上限 {limit}'],
  plan: ['plan {plan}', '套餐 {plan}'],
  used_30: ['{used} used in 30 days', '30 天内已用 {used}'],
  expires: ['until {day}', '有效期至 {day}'],
  no_balance: ['Not told to this key.', '不对此密钥提供。'],
  why: ['Why is there no balance?', '为什么没有余额？'],
  why_balance: ['Since 2023 OpenAI answers /dashboard/billing only to the session key of its own website, and no endpoint tells an API key what is left of its credit. So nothing is shown rather than a zero that nobody has said. Other APIs of this shape may answer, and then their figures stand here.',
    '自 2023 年起，OpenAI 的 /dashboard/billing 只应答其官网的会话密钥，也没有任何接口向 API 密钥提供剩余额度。因此这里宁可不显示，也不编造零。其他同类 API 若有应答，则在此显示其数字。'],
  why_admin: ["With an admin key (sk-admin-…) the organization's costs and usage of the last 30 days are shown.", '使用管理密钥（sk-admin-…）可查看组织最近 30 天的费用与用量。'],
  link_billing: ["Credit balance, on OpenAI's website", '在 OpenAI 官网查看余额'],
  link_admin: ["Admin keys, on OpenAI's website", '在 OpenAI 官网管理管理密钥'],
  link_costs: ['What OpenAI says of costs', 'OpenAI 关于费用的说明'],

  costs: ['Costs', '费用'],
  costs_sum: ['{sum} in 30 days', '30 天共 {sum}'],
  costs_none: ['OpenAI names no costs in these 30 days.', 'OpenAI 未列出这 30 天的费用。'],
  costs_chart: ['Costs per day (UTC) from {first} to {last}: {sum}, at most {most} a day', '{first} 至 {last} 每日费用（UTC）：共 {sum}，单日最高 {most}'],
  most: ['at most {most} a day', '单日最高 {most}'],
  by_day: ['Day by day', '逐日明细'],
  day: ['Day (UTC)', '日期（UTC）'],
  usage: ['Usage in 30 days', '30 天用量'],
  endpoint: ['Endpoint', '接口'],
  amount: ['Amount', '用量'],
  none: ['none', '无'],
  cut_short: ['There is more than is shown.', '数据未完整显示。'],
  num_model_requests: ['{n} requests', '{n} 次请求'],
  num_requests: ['{n} calls', '{n} 次调用'],
  input_tokens: ['{n} tokens in', '输入 {n} tokens'],
  output_tokens: ['{n} tokens out', '输出 {n} tokens'],
  images: ['{n} images', '{n} 张图像'],
  characters: ['{n} characters', '{n} 个字符'],
  seconds: ['{n} seconds', '{n} 秒'],
  num_sessions: ['{n} sessions', '{n} 次会话'],
  usage_bytes: ['at most {n} bytes', '最多 {n} 字节'],

  try: ['Try it', '试一试'],
  try_hint: ['A streamed answer, and proof that nothing on the way holds it back.', '流式回答，并验证途中没有缓冲。'],
  api: ['Endpoint', '接口'],
  model: ['Model', '模型'],
  key: ['Key', '密钥'],
  key_none: ['none yet: enter one under Keys', '尚无：请在“密钥”中输入'],
  message: ['Message', '消息'],
  hello: ['Hello! Count from one to ten, in words.', '你好！请用中文从一数到十。'],
  send: ['Send', '发送'],
  stop: ['Stop', '停止'],
  answer: ['Answer', '回答'],
  ttft: ['First token', '首个 token'],
  speed: ['Speed', '速度'],
  per_second: ['{n} tokens/s', '{n} tokens/秒'],
  events_second: ['{n} events/s (no token count was sent)', '{n} 个事件/秒（未返回 token 数）'],
  total: ['Whole answer', '完整回答'],
  total_value: ['{ms}, {n} tokens', '{ms},{n} tokens'],
  arrival: ['Events', '事件'],
  came_one: ['one by one: {n} events in {reads} pieces over {ms}', '逐个到达：{n} 个事件，分 {reads} 次，历时 {ms}'],
  came_bursts: ['in bursts: {n} events in {reads} pieces over {ms}', '成批到达：{n} 个事件，分 {reads} 次，历时 {ms}'],
  came_once: ['all together: {n} events within {ms}; something on the way collects them', '一次性到达：{ms} 之内 {n} 个事件；途中有环节在缓冲'],
  came_few: ['{n}: too few to tell', '{n} 个：太少，无法判断'],
  route: ['Answered by', '应答方'],
  attempts: ['{name}, attempt {n}', '{name}，第 {n} 次尝试'],
  cut: ['The stream ended without its last event: the answer is incomplete.', '流在最后一个事件之前结束：回答不完整。'],
  broken: ['The connection broke off: the answer is incomplete.', '连接中断：回答不完整。'],
  stopped: ['Stopped; the relay cancels the request.', '已停止；中继会取消请求。'],

  says_relay: ['The relay says', '中继返回'],
  says_api: ['The API says', 'API 返回'],
  says_other: ['Something in front of the relay says', '中继前面的环节返回'],
  unreachable: ['The relay cannot be reached from here.', '无法从此处连接中继。'],
};

let language = 0; // an index into each of words

const listeners = [];

// t returns a text in the page's language, with values for its {names}.
export function t(name, values = {}) {
  return words[name][language].replace(/\{(\w+)\}/g, (_, key) => values[key]);
}

// locale is what Intl wants to know.
export const locale = () => (language ? 'zh-CN' : 'en');

// onLanguage calls render now and whenever the language changes.
export function onLanguage(render) {
  listeners.push(render);
  render();
}

function speak(chinese) {
  language = chinese ? 1 : 0;
  document.documentElement.lang = chinese ? 'zh-Hans' : 'en';
  for (const [attribute, set] of [
    ['data-t', (e, text) => (e.textContent = text)],
    ['data-t-label', (e, text) => e.setAttribute('aria-label', text)],
  ]) {
    for (const e of document.querySelectorAll(`[${attribute}]`)) set(e, t(e.getAttribute(attribute)));
  }
  for (const [id, on] of [['lang-en', !chinese], ['lang-zh', chinese]]) {
    document.getElementById(id).setAttribute('aria-pressed', on);
  }
  for (const render of listeners) render();
}

// startLanguage shows the page in the language of the address, #en or #zh, or
// of the browser. The switch writes it into the address, so that nothing needs
// to be stored.
export function startLanguage() {
  for (const [id, chinese] of [['lang-en', false], ['lang-zh', true]]) {
    document.getElementById(id).addEventListener('click', () => {
      history.replaceState(null, '', chinese ? '#zh' : '#en');
      speak(chinese);
    });
  }
  const asked = /^#(en|zh)$/.exec(location.hash)?.[1];
  const known = (navigator.languages ?? []).find((tag) => /^(en|zh)\b/i.test(tag));
  speak(asked ? asked === 'zh' : /^zh/i.test(known ?? ''));
}
