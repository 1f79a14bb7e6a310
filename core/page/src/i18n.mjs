// The page's words, English and Simplified Chinese, and which of them to show.

export const words = {
  skip: ['Skip to the chat', '跳到对话'],
  language: ['Language', '语言'],
  footer: ['This page talks to this relay only and sets no cookies.', '本页面只与此中继通信，不设置 Cookie。'],
  fault: ['This page hit an unexpected error: {what}. Reload it; the relay itself may be fine.', '页面出现意外错误：{what}。请重新加载；中继本身可能正常。'],

  v_well: ['This relay works', '中继工作正常'],
  v_buffered: ['It works, but streams are buffered from here', '可用，但从你这里访问时流被缓冲'],
  v_broken: ['Streams are cut off', '流会中断'],
  v_api: ['The relay is up but cannot reach the API', '中继在线，但无法访问 API'],
  v_unreachable: ['This relay does not respond', '此中继没有响应'],
  sub: ['Put the base URL into any OpenAI client.', '把基础 URL 填入任意 OpenAI 客户端即可。'],
  sub_buffered: ['Something in between, such as a proxy, holds responses back: text arrives in bursts.', '途中某个环节（例如代理）缓存了响应，文字会成段出现。'],
  base_url: ['Base URL', '基础 URL（Base URL）'],
  copy: ['Copy', '复制'],
  copied: ['Copied', '已复制'],
  qr: ['QR code for a phone', '手机扫码'],
  check_again: ['Check again', '重新检查'],
  checking: ['Checking…', '检查中…'],
  checked: ['checked {age}', '{age}检查'],
  as_of: ['last known {age}', '{age}的数据'],
  about: ['About this relay', '关于此中继'],
  region: ['Region', '区域'],
  version: ['Version', '版本'],
  platform: ['Platform', '平台'],
  reachable: ['reachable', '可达'],
  no_way: ['not reachable', '不可达'],
  streaming: ['Streaming', '流式传输'],
  stream_one: ['one by one', '逐个到达'],
  stream_bursts: ['in bursts', '成批到达'],
  stream_once: ['all at once', '一次性到达'],
  stream_broken: ['breaks off', '中断'],
  stream_unknown: ['not measured: this browser is busy', '未测出：浏览器繁忙'],
  stream_events: ['{n} events over {ms}', '{n} 个事件，历时 {ms}'],
  needed: ['needed', '需要'],
  key_held: ['held by the relay', '由中继持有'],
  key_yours: ['yours', '使用你自己的'],
  body_limit: ['Largest request', '请求上限'],
  yes: ['yes', '是'],
  no: ['no', '否'],
  up_region: ['OpenAI does not serve this region: deploy the relay in another one.', 'OpenAI 不支持此区域：请把中继部署到其他区域。'],
  up_status: ['The API responds with an unexpected status, {status}.', 'API 返回了意外的状态码 {status}。'],

  access: ['Access token', '访问令牌'],
  access_step: ['Step 1', '第 1 步'],
  token_hint: ['This relay needs one: ask whoever runs it.', '此中继需要访问令牌，请向运营者索取。'],
  token_good: ['accepted', '有效'],
  token_ends: ['expires {when}', '{when}到期'],
  token_limits: ['Token limits', '令牌限制'],
  per_minute: ['{n} requests a minute', '每分钟 {n} 次请求'],
  at_once: ['{n} at a time', '同时 {n} 个'],
  token_wrong: ['This token is not valid for this relay.', '此中继不认识该令牌。'],
  token_expired: ['This access token has expired: ask whoever runs the relay for a new one.', '此访问令牌已过期，请向运营者索取新的。'],
  token_not_allowed: ['This access token does not permit that: see its limits in “About this relay”.', '此访问令牌不允许此操作：限制见“关于此中继”。'],
  token_rate_limited: ['This access token has reached its limit of requests. Try again in a moment.', '此访问令牌的请求数已达上限，请稍后重试。'],
  token_malformed: ['The access token contains a character that cannot occur in a token.', '访问令牌中包含令牌不会有的字符。'],
  token_unknown: ['could not be checked', '无法检查'],
  show: ['Show keys', '显示密钥'],
  keep: ['Keep keys and token in this tab', '在此标签页中保留密钥和令牌'],

  gateway: ['Upstreams', '上游'],
  gateway_live: ['live', '实时'],
  n_up: ['{up} of {all} up', '{up}/{all} 正常'],
  upstream: ['Upstream', '上游'],
  state: ['State', '状态'],
  latency: ['Latency', '延迟'],
  last_minute: ['Last minute', '最近一分钟'],
  in_flight: ['In flight', '进行中'],
  up: ['up', '正常'],
  suspect: ['suspect', '可疑'],
  down: ['down', '不可用'],
  unchecked: ['not checked yet', '尚未检查'],
  retry_in: ['retry in {ms}', '{ms}后重试'],
  last_failure: ['last failure:', '上次故障：'],
  news: ['{name}: {state}', '{name}：{state}'],

  use: ['Connect', '接入'],
  use_hint: ['Your API key goes where it always goes.', 'API 密钥仍填在原来的位置。'],
  use_token: ['In place of an API key, enter {key}.', 'API 密钥处填写 {key}。'],
  with_key: ['Include my key in what I copy or open', '复制和打开时填入我自己的密钥'],
  place_key: ['<API key>', '<API 密钥>'],
  place_held: ['rt_<token>', 'rt_<令牌>'],
  place_model: ['<model>', '<模型>'],
  tab_chat: ['Chat apps', '聊天应用'],
  tab_agent: ['Coding agents', '编程助手'],
  tab_shell: ['Shell', '命令行'],
  open_in: ['Open in {name}', '在 {name} 中打开'],
  open_in_key: ['Open in {name}, with my key', '在 {name} 中打开（含密钥）'],
  open_needs_key: ['To open {name}, include your key: tick the box below.', '只有填入密钥才能打开 {name}：请勾选下方选项。'],

  keys: ['Check keys', '检查密钥'],
  keys_hint: ['Checked from this browser through this relay, which neither stores nor logs them.', '由浏览器经此中继检查；中继不保存也不记录密钥。'],
  key_list: ['API keys, one per line', 'API 密钥，每行一个'],
  check: ['Check', '检查'],
  filter: ['Show keys that are', '筛选'],
  all: ['all', '全部'],
  copy_valid: ['Copy valid', '复制有效密钥'],
  clear_invalid: ['Remove invalid', '移除无效密钥'],
  export: ['Export CSV', '导出 CSV'],
  no_keys: ['Enter a key first, such as sk-…', '请先输入密钥，例如 sk-…'],
  progress: ['{done} of {all} checked, {usable} accepted', '已检查 {done}/{all}，有效 {usable}'],
  key_works: ['works, has credit', '可用，有余额'],
  key_accepted: ['accepted, credit untested', '有效，余额未测'],
  key_admin: ['accepted', '有效'],
  key_nocredit: ['no credit', '余额不足'],
  key_limited: ['rate-limited', '被限速'],
  key_blocked: ['blocked', '被拒绝'],
  key_invalid: ['invalid', '无效'],
  key_unchecked: ['could not check', '无法检查'],
  malformed: ['It contains a character that cannot occur in a key.', '包含密钥中不会出现的字符。'],
  no_list: ['Unexpected response: not a list.', '意外的响应：不是列表。'],
  no_model: ['No chat model is listed: enter one under Chat.', '列表中没有对话模型：请在“对话”中输入。'],
  timed_out: ['No response within 30 seconds.', '30 秒内没有响应。'],
  details: ['Details', '详情'],
  test_credit: ['Test credit', '测试余额'],
  use_key: ['Use in chat', '用于对话'],
  kind_held: ["the relay's own key", '中继自有密钥'],
  models: ['Models', '模型'],
  models_n: ['{n} models', '{n} 个模型'],
  limits: ['Rate limits', '速率限制'],
  limit_one: ['{left} of {limit} {what} left, full again in {reset}', '{what}剩余 {left}/{limit}，{reset} 后恢复'],
  requests: ['requests', '请求'],
  tokens: ['tokens', 'token '],
  limits_unsaid: ['Sent with completions only: test the credit.', '仅在生成回答时给出：请测试余额。'],
  credit_test: ['Credit test', '余额测试'],
  credit_ok: ['{model} responded: there is credit', '{model} 已响应：有余额'],
  balance: ['Balance', '余额'],
  credit_left: ['{left} left', '剩余 {left}'],
  credit_granted: ['{granted} granted', '共 {granted}'],
  unlimited: ['no limit', '无上限'],
  used: ['{used} used', '已用 {used}'],
  limit_month: ['limit {limit} a month', '每月上限 {limit}'],
  plan: ['plan {plan}', '套餐 {plan}'],
  used_30: ['{used} used in 30 days', '30 天内已用 {used}'],
  expires: ['until {day}', '有效期至 {day}'],
  no_balance: ["OpenAI does not report balances to API keys. An admin key (sk-admin-…) shows the organization's costs.", 'OpenAI 不向 API 密钥提供余额。管理密钥（sk-admin-…）可查看组织的费用。'],
  link_billing: ["Credit balance, on OpenAI's website", '在 OpenAI 官网查看余额'],

  costs: ['Costs', '费用'],
  costs_sum: ['{sum} in {n} days', '{n} 天共 {sum}'],
  costs_none: ['OpenAI reports no costs in this period.', 'OpenAI 未列出此期间的费用。'],
  costs_chart: ['Costs per day (UTC) from {first} to {last}: {sum}, at most {max} a day', '{first} 至 {last} 每日费用（UTC）：共 {sum}，单日最高 {max}'],
  max_day: ['at most {max} a day', '单日最高 {max}'],
  days: ['{n} days', '{n} 天'],
  model: ['Model', '模型'],
  project: ['Project', '项目'],
  unnamed: ['not named', '未注明'],
  day: ['Day (UTC)', '日期（UTC）'],
  usage: ['Usage', '用量'],
  calls: ['Requests', '请求数'],
  tokens_in: ['Tokens in', '输入 tokens'],
  tokens_out: ['Tokens out', '输出 tokens'],
  endpoint: ['Endpoint', '接口'],
  none: ['none', '无'],
  cut_short: ['There is more.', '数据不完整。'],

  try: ['Chat', '对话'],
  held: ['This relay adds its own API key: the access token is all you need.', '此中继自带 API 密钥，只需访问令牌。'],
  model_auto: ['cheapest', '自动选最便宜的'],
  choose: ['List', '列表'],
  model_filter: ['Filter models', '筛选模型'],
  key: ['API key', 'API 密钥'],
  message: ['Message', '消息'],
  message_hint: ['Shift+Enter: new line', 'Shift+Enter 换行'],
  hello: ['Hello! Count from one to ten, in words.', '你好！请用中文从一数到十。'],
  send: ['Send', '发送'],
  stop: ['Stop', '停止'],
  answer: ['Response', '回答'],
  ttft: ['First token', '首个 token'],
  speed: ['Speed', '速度'],
  per_second: ['{n} tokens/s', '{n} tokens/秒'],
  total: ['Whole response', '完整回答'],
  total_value: ['{ms}, {n} tokens', '{ms}，{n} tokens'],
  arrival: ['Events', '事件'],
  came_one: ['one by one: {n} events in {reads} pieces over {ms}', '逐个到达：{n} 个事件，分 {reads} 次，历时 {ms}'],
  came_bursts: ['in bursts: {n} events in {reads} pieces over {ms}', '成批到达：{n} 个事件，分 {reads} 次，历时 {ms}'],
  came_once: ['all at once: {n} events within {ms}; something buffers them', '一次性到达：{ms} 之内 {n} 个事件，途中有缓冲'],
  came_few: ['{n}: too few to tell', '{n} 个：太少，无法判断'],
  route: ['Came through', '经由'],
  attempts: ['{name}, attempt {n}', '{name}，第 {n} 次尝试'],
  cut: ['The stream ended without its last event: the response is incomplete.', '流在最后一个事件之前结束：回答不完整。'],
  broken: ['The connection broke off: the response is incomplete.', '连接中断：回答不完整。'],
  stopped: ['Stopped. The relay cancels the request.', '已停止，中继会取消请求。'],

  says_relay: ['The relay says', '中继返回'],
  says_api: ['The API says', 'API 返回'],
  says_other: ['Something in front of the relay says', '中继前面的环节返回'],
  unreachable: ['No response: the connection failed.', '没有响应：连接失败。'],
};

let language = 0; // an index into each of words

const switches = [['lang-en', false], ['lang-zh', true]];

const listeners = [];

// t returns a text in the page's language, with values for its {names}.
export function t(name, values = {}) {
  return words[name][language].replace(/\{(\w+)\}/g, (_, key) => values[key]);
}

export const isChinese = () => language === 1;

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
    ['data-t-placeholder', (e, text) => e.setAttribute('placeholder', text)],
  ]) {
    for (const e of document.querySelectorAll(`[${attribute}]`)) set(e, t(e.getAttribute(attribute)));
  }
  for (const [id, its] of switches) document.getElementById(id).setAttribute('aria-pressed', its === chinese);
  for (const render of listeners) render();
}

// startLanguage shows the page in the language of the address, #en or #zh, or
// of the browser. The switch writes it into the address, so that nothing needs
// to be stored.
export function startLanguage() {
  for (const [id, chinese] of switches) {
    document.getElementById(id).addEventListener('click', () => {
      history.replaceState(null, '', chinese ? '#zh' : '#en');
      speak(chinese);
    });
  }
  const asked = /^#(en|zh)$/.exec(location.hash)?.[1];
  const known = (navigator.languages ?? []).find((tag) => /^(en|zh)\b/i.test(tag));
  speak(asked ? asked === 'zh' : /^zh/i.test(known ?? ''));
}
