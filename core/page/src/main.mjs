// The page, put together.

import { $ } from './dom.mjs';
import { showUpstreams, startGateway } from './gateway.mjs';
import { startLanguage } from './i18n.mjs';
import { renderKeys, startKeys } from './keys.mjs';
import { ask } from './relay.mjs';
import { renderSnippets, startSnippets } from './snippets.mjs';
import { startStatus } from './status.mjs';
import { startTryIt } from './tryit.mjs';

const main = document.querySelector('main');

startLanguage();
startGateway();
startSnippets();
startKeys(async () => {
  const { json } = await ask('relay/health'); // a gateway tells more to those it knows
  if (json) showUpstreams(json);
});
startTryIt();
main.classList.add('waiting');
const seen = () => main.classList.remove('waiting');
setTimeout(seen, 2000);
startStatus(() => {
  renderSnippets();
  renderKeys();
  seen();
});
$('page').hidden = false;
