import EmbeddedModels
import Glibc

let pipeline = try openPipeline("tiny-flux")
let findings = try [
  lens(pipeline), daam(pipeline), probe(pipeline), headTable(pipeline), causalTracing(pipeline), regions(pipeline),
  crossAttentionModel(),
]
for finding in findings { print("\(finding.holds ? "ok   " : "WRONG") \(finding.name): \(finding.text)") }
exit(findings.allSatisfy(\.holds) ? 0 : 1)
