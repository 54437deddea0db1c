/** Which Node runs us. In syntax that old versions can read: it is for them. */

const MINIMUM = { major: 20, minor: 19 };

/**
 * A sentence when `version` ("v20.19.0") is too old, else undefined.
 * @param {string} version
 * @returns {string | undefined}
 */
export function nodeTooOld(version) {
  const [major = 0, minor = 0] = version.replace(/^v/, '').split('.').map(Number);
  const enough = major > MINIMUM.major || (major === MINIMUM.major && minor >= MINIMUM.minor);
  if (enough) return undefined;
  return `Aviary needs Node ${MINIMUM.major}.${MINIMUM.minor} or newer; this is ${version}. Debian packages of current versions: https://nodesource.com`;
}
