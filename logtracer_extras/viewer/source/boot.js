'use strict';

// What must run before the rest: a written page carries the two scripts below packed, as one text
// whose hash the policy names. This unpacks and starts it; no other text can pass for it, and the
// one name for which the policy allows text as a script is used up here.

/** @param {string} text */
function fromBase64(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text); // newer browsers have it
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let at = 0; at < binary.length; at++) bytes[at] = binary.charCodeAt(at);
  return bytes;
}

/**
 * Unpack gzip, counting while it streams: a small block may unpack to more than memory holds.
 * @param {Uint8Array<ArrayBuffer>} bytes @param {number} limit
 */
async function unpack(bytes, limit) {
  // A Response, not a Blob: a Blob is kept by another process, which takes longer than unpacking.
  const packed = /** @type {ReadableStream<Uint8Array<ArrayBuffer>>} */ (new Response(bytes).body);
  const reader = packed.pipeThrough(new DecompressionStream('gzip')).getReader();
  const decoder = new TextDecoder();
  const parts = [];
  let size = 0;
  for (let next = await reader.read(); !next.done; next = await reader.read()) {
    size += next.value.length;
    if (size > limit) throw new Error(`a data block unpacks to more than ${limit / 1e6} MB`);
    parts.push(decoder.decode(next.value, { stream: true }));
  }
  return parts.join('') + decoder.decode();
}

/** @param {HTMLElement} block */
async function runPacked(block) {
  const script = document.createElement('script');
  const rules = { createScript: (/** @type {string} */ text) => text };
  const asScript = window.trustedTypes?.createPolicy('logtracer', rules) ?? rules;
  script.text = asScript.createScript(await unpack(fromBase64(block.textContent), 1e6));
  document.body.append(script);
}

const packedCode = document.getElementById('logtracer-code');
if (packedCode) {
  runPacked(packedCode).catch((error) => {
    const facts = /** @type {HTMLElement} */ (document.getElementById('facts'));
    facts.textContent = 'This page cannot be shown: ' + error.message;
  });
}
