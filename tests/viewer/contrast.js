() => {
  const light = (colour) => {
    const part = (at) => { const value = parseInt(colour.slice(at, at + 2), 16) / 255;
      return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4; };
    return 0.2126 * part(1) + 0.7152 * part(3) + 0.0722 * part(5);
  };
  const ratio = (one, two) => { const [low, high] = [light(one), light(two)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05); };
  const { palette } = logtracerApp;
  const fills = ['llm_call', 'tool_call', 'sub_agent', 'retrieval', 'decision', 'validation', 'transformation',
    'human_input', 'custom', 'trace', 'error', 'dim', 'load', 'retry', 'fallback', 'flow', 'edge', 'focus'];
  const texts = ['ink', 'soft', 'error', 'focus', 'mark', 'added', 'removed', 'changed', 'completed' && 'tool_call'];
  const bad = [];
  for (const fill of fills) {
    if (ratio(palette[fill], palette.ground) < 3) bad.push(['bar', fill, ratio(palette[fill], palette.ground)]);
    const ink = palette.inkOn(palette[fill]);
    if (ratio(palette[fill], ink) < 4.5) bad.push(['ink', fill, ratio(palette[fill], ink)]);
  }
  for (const text of texts) for (const ground of ['ground', 'panel', 'selected']) {
    if (text === 'mark' && ground === 'selected') continue;
    if (ratio(palette[text], palette[ground]) < 4.5) bad.push([text, ground, ratio(palette[text], palette[ground])]);
  }
  return bad;
}
