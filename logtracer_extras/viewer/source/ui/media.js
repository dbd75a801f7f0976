// ---- Pictures and sounds that were recorded -----------------------------------------------------

// Only data of these kinds is drawn; an address of anybody else is shown as text, since asking for
// it would tell somebody that the page was opened. The policy of the page allows no other either.
const PICTURE = /^data:image\/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/\s]+={0,2}\s*$/;
const SOUND = /^data:audio\/[a-z0-9.+-]{1,40};base64,[A-Za-z0-9+/\s]+={0,2}\s*$/;
const LARGEST_MEDIA = 8e6; // characters that are drawn without being asked for

/** @param {string} url @returns {HTMLElement} */
function mediaView(url) {
  if (!url.startsWith('data:')) return make('p', { class: 'address' }, isolated(clip(url, 2000)));
  const isPicture = PICTURE.test(url);
  if (!isPicture && !SOUND.test(url)) return stringView(url);
  const head = url.slice(5, url.indexOf(';'));
  const label = `${show(head)}, ${formatBytes(Math.round((url.length - head.length) * 0.75))}`;
  const figure = make(
    'figure',
    {},
    make(
      'figcaption',
      {},
      label,
      ' ',
      button('Save', () => saveFile('recorded', dataOf(url))),
    ),
  );
  const draw = () => figure.prepend(isPicture ? pictureOf(url) : soundOf(url));
  if (url.length <= LARGEST_MEDIA) draw();
  else figure.append(button('Show', draw));
  return figure;
}

/** @param {string} url */
function pictureOf(url) {
  const picture = make('img');
  picture.alt = 'recorded picture';
  picture.decoding = 'async';
  picture.src = url;
  return picture;
}

/** @param {string} url */
function soundOf(url) {
  const sound = make('audio');
  sound.controls = true;
  sound.preload = 'none';
  sound.src = url;
  return sound;
}

/** @param {string} url */
function dataOf(url) {
  return new Blob([fromBase64(url.slice(url.indexOf(',') + 1).trim())]);
}
