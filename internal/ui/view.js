'use strict';
// The page is whole without this. Here it is kept up to date: the parts that have changed come as HTML, ready to be shown.
(() => {
  const live = document.getElementById('live');
  const announce = document.getElementById('announce');
  const skew = Date.now() - Number(document.body.dataset.now); // the clocks of a tunnel's two ends differ
  const name = document.title;

  const span = s => {
    const two = n => String(n).padStart(2, '0');
    s = Math.max(0, Math.floor(s));
    if (s < 60) return `${s} s`;
    if (s < 3600) return `${Math.floor(s / 60)} min ${two(s % 60)} s`;
    if (s < 86400) return `${Math.floor(s / 3600)} h ${two(Math.floor(s / 60) % 60)} min`;
    return `${Math.floor(s / 86400)} d ${Math.floor(s / 3600) % 24} h`;
  };
  const count = () => {
    const now = Date.now() - skew;
    for (const e of document.querySelectorAll('[data-since]')) e.textContent = span((now - e.dataset.since) / 1000);
  };
  const say = (text, tone) => { live.textContent = text; live.className = tone; };
  const title = () => {
    const word = document.querySelector('[data-title]').dataset.title;
    const changed = !document.title.startsWith(word);
    document.title = `${word} – ${name}`;
    if (changed) announce.textContent = document.getElementById('verdict').innerText;
  };

  history.replaceState(null, '', './'); // so that loading it again does not ask for the action again
  title();
  setInterval(count, 1000);
  const source = new EventSource('live?after=' + document.body.dataset.after);
  source.onopen = () => say('live', 'quiet');
  source.onerror = () => source.readyState === EventSource.CLOSED
    ? say('This view has ended. Start `appliance ui` again.', 'ended')
    : say('Not live: trying to reach the view again …', 'ended');
  for (const part of ['verdict', 'warnings', 'actions', 'steps', 'services', 'certificate', 'storage', 'facts']) {
    source.addEventListener(part, e => {
      document.getElementById(part).innerHTML = e.data;
      count();
      if (part === 'verdict') title();
    });
  }
  for (const [list, most] of [['history', 200], ['log', 400]]) {
    const lines = document.getElementById(list);
    source.addEventListener(list, e => {
      lines.insertAdjacentHTML('afterbegin', e.data);
      while (lines.childElementCount > most) lines.lastElementChild.remove();
    });
  }
})();
