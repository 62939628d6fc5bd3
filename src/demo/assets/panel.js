// Asks for the address of this page again and shows what came back: from the cache, or from the origin?
(() => {
  'use strict';
  const probe = document.querySelector('.probe');
  const rows = probe.querySelector('tbody');
  const verdict = probe.querySelector('.verdict');
  const keep = 8;

  // `no-store` keeps the browser's own cache out of it. By itself it would also make the browser send `no-cache` in both
  // fields, which asks every cache on the way to check with the origin; values of our own replace that.
  const wishes = {
    normal: { 'Cache-Control': 'max-age=31536000', Pragma: '' },
    check: { 'Cache-Control': 'no-cache', Pragma: 'no-cache' },
  };

  const cell = (row, text) => {
    const td = row.insertCell();
    td.textContent = text;
    return td;
  };

  const judge = (status, age, same) => {
    if (!status) return 'No Cache-Status: this answer came straight from the origin.';
    if (/;\s*hit\b/.test(status)) return `A hit: the cache answered from its store${age === null ? '' : `, with something ${age} s old`}.`;
    if (/;\s*collapsed/.test(status)) return 'Shared: this request waited for one that was already on its way to the origin.';
    if (/;\s*fwd-status=304/.test(status)) return 'Checked: the origin said that nothing has changed (304), and the cache answered.';
    if (/;\s*fwd=/.test(status)) return `A trip to the origin${same ? '' : ', and a new rendering'}.`;
    return 'Answered by a cache.';
  };

  let last = null;
  const ask = async (kind) => {
    const row = rows.insertRow(0);
    cell(row, new Date().toISOString().slice(11, 19));
    try {
      const answer = await fetch(location.pathname + location.search, {
        cache: 'no-store', credentials: 'same-origin', headers: wishes[kind],
      });
      const field = (name) => answer.headers.get(name);
      const [age, status, made] = [field('age'), field('cache-status'), field('demo-request')];
      cell(row, answer.status);
      cell(row, age === null ? '–' : `${age} s`);
      cell(row, made ?? '–');
      cell(row, status ?? '–').className = 'raw';
      verdict.textContent = judge(status, age, made === last);
      last = made;
      await answer.arrayBuffer();
    } catch {
      cell(row, 'no answer').colSpan = 4;
      verdict.textContent = 'The connection broke before an answer came.';
    }
    while (rows.rows.length > keep) rows.deleteRow(-1);
  };

  probe.hidden = false;
  probe.addEventListener('click', (event) => {
    const kind = event.target.closest('[data-ask]')?.dataset.ask;
    if (kind) ask(kind);
  });
  ask('normal');
})();
