import ArgumentParser
import EmbeddedModels
import Foundation
import Models
import Tensor

/// Which model, from which files, and how it is run: the same for every command.
struct ModelOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      """
      A model that comes along (\(EmbeddedModel.allCases.map(\.rawValue).joined(separator: ", "))) or a folder in the \
      diffusers layout.
      """, valueName: "name or folder"))
  var model = EmbeddedModel.tinyFlux.rawValue

  @Option(
    help: ArgumentHelp(
      """
      A single file for the transformer in place of the folder's: .safetensors or .gguf, in the authors' names or \
      diffusers'.
      """, valueName: "file"))
  var transformer: String?

  @Option(
    help: ArgumentHelp(
      "A single file for the autoencoder in place of the folder's, such as ae.safetensors.", valueName: "file"))
  var autoencoder: String?

  @OptionGroup var textEncoders: TextEncoderOptions

  @Option(
    help: ArgumentHelp(
      "A LoRA file to merge into the transformer, and how strongly (1 unless given). May be repeated.",
      valueName: "file[:strength]"))
  var lora: [LoRAArgument] = []

  @Option(
    help: ArgumentHelp(
      """
      Type to use weights as: f32, bf16 or f16. What the files hold unless given, which costs nothing: they are used \
      where they lie. Another type is converted when the model is opened and then takes memory of its own.
      """, valueName: "type"))
  var dtype: WeightType?

  @Option(
    help: ArgumentHelp(
      """
      The most memory that the transformer's weights may take, such as 8G or 500M; what is beyond that is read from the disk \
      at every step. What the machine has free unless given.
      """, valueName: "size"))
  var weightMemory: ByteCount?

  @Flag(
    help: ArgumentHelp(
      """
      Neither use nor keep what text encoders make of phrases. Otherwise it is kept, up to 1 GB, in \
      concept-attention/phrases in $XDG_CACHE_HOME or ~/.cache, so that a prompt or concept that was seen before waits for \
      no text encoder.
      """))
  var noCache = false

  @Option(
    help: ArgumentHelp(
      """
      How activations meet weights narrower than f32: float (as they are), bf16 (may be rounded to bf16), int8 (to 8 bits \
      where weights are quantised in blocks), int8-narrow (the same, but not for Q8_0). The fastest on this CPU unless given.
      """, valueName: "precision"))
  var compute: ComputePrecision?

  @Option(help: ArgumentHelp("CPUs to use; all that this process may use unless given.", valueName: "count"))
  var threads: Int?

  enum WeightType: String, ExpressibleByArgument, CaseIterable { case f32, bf16, f16 }

  func validate() throws {
    if let threads, !(1...1024).contains(threads) {
      throw ValidationError("--threads \(threads): expected 1 to 1024")
    }
  }

  func folder() throws -> ModelFolder { try ModelFolder(nameOrFolder: model) }

  /// The options in the terms of the folder's family.
  func checkpoint(_ folder: ModelFolder) throws -> CheckpointOptions {
    var options = CheckpointOptions(
      loras: lora.map(\.file), weightType: dtype.flatMap { DType(rawValue: $0.rawValue) })
    options.files["transformer"] = transformer
    options.files["vae"] = autoencoder
    options.phraseCache = noCache ? nil : .standard
    options.weightMemory = weightMemory?.bytes
    return try ModelFamily(of: folder).options(
      options, textEncoderFiles: textEncoders.files, leavingOut: textEncoders.withoutT5 ? [.t5] : [], folder: folder)
  }

  /// What weights take that `--dtype` converts when the model is opened. Only headers are read.
  func convertedBytes() throws -> Int {
    guard dtype != nil else { return 0 }
    let folder = try folder()
    return try folder.parts(checkpoint(folder)).map(\.convertedBytes).reduce(0, +)
  }

  func open() throws -> any DiffusionPipeline {
    if let threads { Threads.count = threads }
    if let compute { ComputePrecision.standard = compute }
    let folder = try folder()
    return try ModelFamily(of: folder).open(folder, checkpoint(folder))
  }
}

extension ComputePrecision: ExpressibleByArgument {}

/// Text encoders in single files, as they come beside a transformer's.
struct TextEncoderOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp("A single file for CLIP-L in place of the folder's: clip_l.safetensors.", valueName: "file"))
  var clipL: String?

  @Option(
    help: ArgumentHelp(
      "A single file for CLIP-bigG in place of the folder's (Stable Diffusion 3): clip_g.safetensors.",
      valueName: "file"))
  var clipG: String?

  @Option(
    help: ArgumentHelp("A single file for T5 in place of the folder's: t5xxl_fp16.safetensors.", valueName: "file"))
  var t5: String?

  @Flag(
    help: ArgumentHelp(
      "Do without T5, the largest text encoder (Stable Diffusion 3). Prompts are then followed less closely."))
  var withoutT5 = false

  var files: [TextEncoderKind: String] {
    [TextEncoderKind.clipL: clipL, .clipG: clipG, .t5: t5].compactMapValues { $0 }
  }

  func validate() throws {
    if withoutT5, t5 != nil { throw ValidationError("--without-t5 and --t5 exclude each other") }
  }
}

/// `file` or `file:strength`. A file whose own name ends like a strength is taken as a file.
struct LoRAArgument: ExpressibleByArgument {
  let file: LoRAFile

  init?(argument: String) {
    let files = FileManager.default
    guard !files.fileExists(atPath: argument), let colon = argument.lastIndex(of: ":") else {
      file = LoRAFile(path: argument)
      return
    }
    let path = String(argument[..<colon])
    if let strength = Float(argument[argument.index(after: colon)...]), strength.isFinite {
      file = LoRAFile(path: path, strength: strength)
    } else if files.fileExists(atPath: path) {
      return nil
    } else {
      file = LoRAFile(path: argument)
    }
  }
}

/// A number of bytes, as `8G`, `1.5G`, `500M`, `64k` or alone. Units are powers of 1024.
struct ByteCount: ExpressibleByArgument {
  let bytes: Int

  init?(argument: String) {
    let units: [Character: Double] = ["k": 0x1p10, "K": 0x1p10, "M": 0x1p20, "G": 0x1p30, "T": 0x1p40]
    let unit = argument.last.flatMap { units[$0] }
    guard let number = Double(unit == nil ? argument : String(argument.dropLast())),
      case let bytes = number * (unit ?? 1), bytes >= 1, bytes < 0x1p50
    else { return nil }
    self.bytes = Int(bytes)
  }
}
