// The page, put together.

import { renderAccess, resumeToken, startAccess } from './access.mjs';
import { $ } from './dom.mjs';
import { startGateway } from './gateway.mjs';
import { startLanguage, t } from './i18n.mjs';
import { renderForm, startKeys } from './keys.mjs';
import { relay } from './relay.mjs';
import { renderSnippets, startSnippets } from './snippets.mjs';
import { checkStatus, renderStatus, startStatus, takeHealth } from './status.mjs';
import { scrub } from './text.mjs';
import { chatKey, renderChat, startTryIt } from './tryit.mjs';

const main = document.querySelector('main');

// fault says that the page itself does not work, which proves nothing of the relay.
function fault(error) {
  $('fault').hidden = false;
  $('fault').textContent = t('fault', { what: scrub(error?.message ?? error, [relay.token, chatKey()]) });
}
addEventListener('error', (event) => fault(event.error ?? event.message));
addEventListener('unhandledrejection', (event) => fault(event.reason));

// start runs one part of the page, whose failure is not the others'.
function start(part) {
  try {
    part();
  } catch (error) {
    fault(error);
    console.error(error);
  }
}

$('page').hidden = false;
main.classList.add('waiting');
const seen = () => main.classList.remove('waiting');
setTimeout(seen, 2000);
start(startLanguage);
start(() => startGateway(checkStatus));
start(() => startAccess((health) => {
  if (health?.name) takeHealth(health); // which tells more to those it knows
  renderStatus();
  renderSnippets();
}));
start(() => startTryIt(renderSnippets));
start(startSnippets);
start(startKeys);
start(() => startStatus(() => {
  renderAccess();
  renderSnippets();
  renderChat();
  renderForm();
  resumeToken();
  seen();
}));
