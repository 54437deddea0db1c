/** Adds up what passed and failed over all suites. For test. */

/** @typedef {{ passed: number, failed: number, skipped: number }} Tally */

/**
 * What a JSON report of Vitest says. A file that could not even be loaded has no tests to count: it is one
 * failure, as is a run that failed although every test passed (an error outside any test).
 * @param {{ testResults: { name: string, status: string, assertionResults: { status: string }[] }[] }} report
 * @param {number | null} exitStatus
 * @returns {Tally}
 */
export function tallyOf(report, exitStatus) {
  const tally = { passed: 0, failed: 0, skipped: 0 };
  for (const file of report.testResults) {
    for (const { status } of file.assertionResults) {
      if (status === 'passed') tally.passed += 1;
      else if (status === 'failed') tally.failed += 1;
      else tally.skipped += 1;
    }
    const failures = file.assertionResults.some(({ status }) => status === 'failed');
    if (file.status === 'failed' && !failures) tally.failed += 1;
  }
  if (exitStatus !== 0 && tally.failed === 0) tally.failed += 1;
  return tally;
}

/**
 * @param {readonly Tally[]} tallies
 * @returns {Tally}
 */
export function sum(tallies) {
  const total = { passed: 0, failed: 0, skipped: 0 };
  for (const tally of tallies) {
    total.passed += tally.passed;
    total.failed += tally.failed;
    total.skipped += tally.skipped;
  }
  return total;
}
