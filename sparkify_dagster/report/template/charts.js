for (const place of document.querySelectorAll('[data-chart]')) {
  const spec = JSON.parse(document.getElementById(place.dataset.chart).textContent)
  // Rendered as SVG, so that the page's style gives texts and lines the colours of its theme, and prints are sharp.
  vegaEmbed(place, spec, { actions: false, renderer: 'svg', logLevel: 1, tooltip: { theme: 'custom' } }).catch((error) => {
    place.textContent = `The chart cannot be drawn: ${error.message}`
  })
}

// Paper has nothing to click on.
let closed = []
addEventListener('beforeprint', () => {
  closed = [...document.querySelectorAll('details:not([open])')]
  for (const details of closed) details.open = true
})
addEventListener('afterprint', () => {
  for (const details of closed) details.open = false
})
