import ArgumentParser

/// `concept-attention`: pictures and their concept maps from the command line.
@main
struct ConceptAttentionCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "concept-attention",
    abstract: "Shows where a diffusion transformer puts a concept.",
    discussion: """
      Generate a picture with a map for each of its content words, by the model that comes with the program:

        concept-attention generate "a red star above a blue house on grass"

      Look for concepts in a picture you have:

        concept-attention segment photo.png --concepts cat,sofa,wall

      Both write a folder with the picture, heatmaps, overlays, the values as .safetensors and .npz, and report.html.
      """,
    version: programVersion,
    subcommands: [Generate.self, Segment.self, Explore.self, Evaluate.self, Info.self, Sites.self])

  /// Wrong input ends with exit code 2 and one message on standard error, an interruption with 130.
  static func main() {
    do {
      try prepareProcess()
      var command = try parseAsRoot()
      try command.run()
    } catch let error as Interrupted {
      printError(error.description)
      leave(error.exitCode)
    } catch let code as ExitCode {
      leave(code.rawValue)
    } catch {
      if exitCode(for: error) == .success {
        print(fullMessage(for: error))
        leave(0)
      }
      let isUsage = exitCode(for: error) == .validationFailure
      printError(shortened(isUsage ? fullMessage(for: error) : "error: \(error)"))
      leave(2)
    }
    leave(0)
  }
}

/// A message repeats what was typed, which may be endless.
private func shortened(_ text: String) -> String {
  let limit = 16_000
  guard text.utf8.count > limit else { return text }
  return "\(String(text.unicodeScalars.prefix(limit / 8))) … \(String(text.unicodeScalars.suffix(limit / 8)))"
}

let programVersion = "0.1.0"
