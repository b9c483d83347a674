
(() => {
  'use strict'
  const root = document.documentElement
  const base = '/.well-known/appliance/'
  const news = base + ('reload' in root.dataset ? 'status' : 'status?sent')
  const parts = ['what', 'progress', 'hint', 'when', 'steps'].map(id => document.getElementById(id))
  const made = new Map(parts.map(part => [part, part.innerHTML]))
  let stream, timer, busy, again, leaving

  // A syntax younger than 2018 would stop all of this in the browsers that some houses have.
  // Times in the visitor's own zone and manner; durations run by the browser's own steady clock.
  const manner = navigator.languages.find(l => l.split('-')[0] === root.lang) || undefined
  const local = text => {
    const at = new Date(text), today = at.toDateString() === new Date().toDateString()
    return at.toLocaleString(manner, today ? {timeStyle: 'short'} : {dateStyle: 'medium', timeStyle: 'short'})
  }
  const span = s => s < 60 ? `${s} s` : s < 3600 ? `${s / 60 | 0} min ${s % 60} s` :
    s < 86400 ? `${s / 3600 | 0} h ${(s / 60 | 0) % 60} min` : `${s / 86400 | 0} d ${(s / 3600 | 0) % 24} h`
  const prepare = part => {
    for (const time of part.querySelectorAll('time')) time.textContent = local(time.dateTime)
    for (const count of part.querySelectorAll('[data-up], [data-down]')) count.since = performance.now()
  }
  const tick = () => {
    for (const count of document.querySelectorAll('[data-up], [data-down]')) {
      const gone = Math.round((performance.now() - count.since) / 1000), {up, down, end} = count.dataset
      const left = down - gone
      count.textContent = up ? span(+up + gone) : left > 0 ? span(left) : end
    }
  }

  // Only what is different is replaced, so that nobody is read the same sentence twice.
  const show = page => {
    document.title = page.title
    root.dataset.mood = page.documentElement.dataset.mood
    root.toggleAttribute('data-ready', 'ready' in page.documentElement.dataset)
    for (const part of parts) {
      const next = page.getElementById(part.id), html = next.innerHTML
      if (made.get(part) === html) continue
      made.set(part, html)
      part.textContent = ''
      part.append(...next.childNodes)
      prepare(part)
    }
    tick()
    leave()
  }
  const lost = yes => {
    const note = document.getElementById('lost')
    if (note.hidden !== yes) return
    note.hidden = !yes
    note.textContent = yes ? note.dataset.text : ''
  }

  // Whoever waits does not come all at once, and a page that has just been opened again does not do so in haste.
  const leave = () => {
    if (leaving || !('ready' in root.dataset) || !('reload' in root.dataset)) return
    const reopened = (performance.getEntriesByType('navigation')[0] || {}).type === 'reload'
    leaving = setTimeout(() => {
      leaving = 0
      if ('ready' in root.dataset) location.reload()
    }, Math.random() * 1000 + (reopened ? Math.max(0, 10000 - performance.now()) : 0))
  }

  const refresh = async () => {
    if (busy) return again = true
    busy = true
    clearTimeout(timer)
    try {
      const answer = await fetch(news, {headers: {Accept: 'text/html'}, cache: 'no-store', signal: 'AbortSignal' in window && AbortSignal.timeout ? AbortSignal.timeout(10000) : undefined})
      if (!answer.ok) throw answer.status
      show(new DOMParser().parseFromString(await answer.text(), 'text/html'))
      lost(false)
    } catch (e) {
      lost(true)
    }
    busy = false
    const follows = stream && stream.readyState === 1
    timer = setTimeout(refresh, again ? 0 : (follows || document.hidden ? 30000 : 5000) * (.8 + Math.random() * .4))
    again = false
  }

  // A hidden page holds no connection; it looks now and then.
  const follow = () => {
    if (stream) stream.close()
    stream = null
    if (document.hidden) return
    stream = new EventSource(base + 'events')
    stream.addEventListener('notice', refresh)
    stream.addEventListener('ready', refresh)
    stream.onerror = () => {
      clearTimeout(timer)
      timer = setTimeout(refresh, 1000 + Math.random() * 2000)
    }
  }
  document.addEventListener('visibilitychange', () => { follow(); refresh() })
  addEventListener('pagehide', () => stream && stream.close())
  addEventListener('pageshow', shown => { if (shown.persisted) { follow(); refresh() } })

  parts.forEach(prepare)
  tick()
  setInterval(tick, 1000)
  timer = setTimeout(refresh, 5000)
  follow()
  leave()
})()
