/** What the scripts tell a person: plain lines on standard error, so that standard output stays the product's. */

/** @param {string} text */
export function say(text) {
  process.stderr.write(`aviary: ${text}\n`);
}
