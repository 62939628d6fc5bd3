// Compares a run of the conformance suite with the ledger of expected failures: an unexpected failure fails the
// run, and so does an unexpected pass. Prints the score by kind; `check` tests only ask and are not judged.
import fs from 'node:fs'
import { pathToFileURL } from 'node:url'
import path from 'node:path'

const [suiteDir, resultsFile, ledgerFile] = process.argv.slice(2)
const load = async (file) => (await import(pathToFileURL(path.join(suiteDir, file)))).default
const suites = [...await load('tests/index.mjs'), await load('tests/surrogate-control.mjs')]
const results = JSON.parse(fs.readFileSync(resultsFile, 'utf8'))
const ledger = new Map(JSON.parse(fs.readFileSync(ledgerFile, 'utf8')).map(line => [line.id, line]))

const score = { required: [0, 0], optimal: [0, 0], check: [0, 0] }
const wrong = []
const seen = new Set()
for (const suite of suites) {
  for (const test of suite.tests) {
    if (test.browser_only || seen.has(test.id)) continue
    seen.add(test.id)
    const kind = test.kind || 'required'
    const result = results[test.id]
    const passed = result === true
    score[kind][1] += 1
    if (passed) score[kind][0] += 1
    if (kind === 'check') continue
    const listed = ledger.get(test.id)
    const why = result === undefined ? 'did not run' : passed ? '' : result.join(': ')
    if (!passed && !listed) wrong.push(`unexpected failure: ${test.id} (${kind}): ${why}`)
    if (passed && listed) wrong.push(`unexpected pass: ${test.id}: take it out of the ledger`)
  }
}
for (const id of ledger.keys()) {
  if (!seen.has(id)) wrong.push(`the ledger names ${id}, which is no test`)
}
for (const line of wrong) console.log(line)
const percent = ([passed, all]) => `${passed} of ${all} (${(100 * passed / all).toFixed(1)} %)`
console.log(`conformance: required ${percent(score.required)}, optimal ${percent(score.optimal)}, ` +
  `checks answered yes ${percent(score.check)}, ledger ${ledger.size}`)
process.exit(wrong.length === 0 ? 0 : 1)
