import ConceptAttention
import Tensor

extension EvaluationProtocol {
  /// The protocols that come along.
  public static let presets: [EvaluationProtocol] = [
    .standard, .paperImageNet, .paperVOCSingle, .paperVOCMulti, .seg4diff, .openVocabulary,
  ]

  /// A preset by name, or a file.
  ///
  /// - Throws: `DatasetProblem` when it is neither
  public init(nameOrPath: String) throws {
    if let preset = Self.presets.first(where: { $0.name == nameOrPath }) {
      self = preset
    } else if nameOrPath.contains("/") || nameOrPath.hasSuffix(".json") {
      self = try EvaluationProtocol(path: nameOrPath)
    } else {
      let names = Self.presets.map(\.name).joined(separator: ", ")
      throw DatasetProblem(nameOrPath, "there is no such protocol; there are \(names), and JSON files")
    }
  }

  /// Ours: the picture in its proportions, the checkpoint's best layers and noise level, classes that are there and a few
  /// kinds of background to compete with them.
  public static let standard: EvaluationProtocol = {
    var rules = EvaluationProtocol()
    rules.summary = "Classes in the picture and common backgrounds, at the checkpoint's best layers and noise level."
    rules.background = ["background", "sky", "grass", "floor", "wall"]
    rules.conceptTokens = .mean
    rules.prompt = "a photo of {concepts}"
    return rules
  }()

  /// ImageNet-Segmentation as in tables 1, 3 and 4 of arXiv 2502.04320: `run_cross_self_ablation.sh` of the authors'
  /// repository, which its issue 12 names as the script behind the paper.
  public static let paperImageNet: EvaluationProtocol = {
    var rules = paper(layers: [14, 15, 16, 17])
    rules.name = "paper-imagenet"
    rules.summary = """
      ConceptAttention's tables on ImageNet-Segmentation (FLUX.1-schnell). Layers 14 to 17, linear normalisation, softmax \
      and blur as in the script, not as in the text. upstream_iou is what the paper prints as mIoU: accuracy / \
      (2 - accuracy).
      """
    rules.background = ["background", "floor", "tree", "person", "grass", "face"]
    rules.prompt = "a {concept}"
    rules.resize = [
      Resize(width: 512, height: 512, filter: .bicubic), Resize(width: 1024, height: 1024, filter: .nearest),
    ]
    rules.metrics = [.authorsAccuracy, .upstreamIoU, .authorsIoU, .authorsAveragePrecision]
    return rules
  }()

  /// PASCAL VOC, the 930 pictures of one class.
  public static let paperVOCSingle: EvaluationProtocol = {
    var rules = paper(layers: [14, 15, 16, 17, 18])
    rules.name = "paper-voc-single"
    rules.summary = """
      ConceptAttention's table on VOC 2012 pictures of one class. Pixels go to the largest of six concepts' products, \
      without softmax, labels are brought to 224 x 224; the script takes step 3 of a shifted schedule of 4, noise 0.513, \
      and one draw. It counts void pixels as wrong, here they are left out.
      """
    rules.pictures = .singleClass
    voc(&rules)
    rules.prompt = "a {concept}"
    rules.labelSize = 224
    rules.resize = [
      Resize(width: 512, height: 512, filter: .nearest), Resize(width: 1024, height: 1024, filter: .nearest),
    ]
    rules.metrics = [.accuracy, .meanIoU, .authorsAccuracy, .upstreamIoU, .averagePrecision]
    return rules
  }()

  /// PASCAL VOC, all 1449 pictures.
  public static let paperVOCMulti: EvaluationProtocol = {
    var rules = paper(layers: [14, 15, 16, 17])
    rules.name = "paper-voc-multi"
    rules.summary = """
      ConceptAttention's table on VOC 2012 with all classes: five kinds of background and the classes that are there \
      compete by their products, without softmax or blur, labels are brought to 64 x 64. Noise as in paper-voc-single. \
      Relabelling in place, which spoils some pictures there, is not repeated.
      """
    voc(&rules)
    rules.prompt = "a {concepts,a }"
    rules.blurs = false
    rules.resize = [Resize(width: 1024, height: 1024, filter: .nearest)]
    rules.labelSize = 64
    rules.metrics = [.accuracy, .meanIoU, .meanIoUOfTrue]
    return rules
  }()

  /// Zero-shot segmentation by the joint attention of Stable Diffusion 3, arXiv 2509.18096.
  public static let seg4diff: EvaluationProtocol = {
    var rules = EvaluationProtocol()
    rules.name = "seg4diff"
    rules.summary = """
      As Seg4Diff looks at Stable Diffusion 3: attention of image tokens to the words of the classes that are there, at \
      layer 9, the one it finds most semantic. Meant for --method cross-attention.
      """
    rules.prompt = "{concepts}"
    rules.conceptTokens = .mean
    rules.layers = [9]
    rules.normalization = .none
    rules.resize = [Resize(width: 1024, height: 1024, filter: .bicubic)]
    rules.metrics = [.meanIoU, .meanIoUOfTrue, .accuracy]
    return rules
  }()

  /// The usual protocol of open-vocabulary segmentation: the method is not told which classes are there.
  public static let openVocabulary: EvaluationProtocol = {
    var rules = EvaluationProtocol()
    rules.name = "ovss"
    rules.summary = """
      Open-vocabulary segmentation: every class of the data set competes in every picture, background is what no class \
      is sure of, and IoU is counted over the data set.
      """
    rules.classes = .all
    rules.conceptTokens = .mean
    rules.metrics = [.meanIoU, .thresholdMeanIoU, .accuracy, .thresholdAccuracy]
    return rules
  }()

  /// What both scripts for VOC have in common: one dot product over the vectors of all layers, so no softmax in each.
  private static func voc(_ rules: inout EvaluationProtocol) {
    rules.background = ["background", "floor", "grass", "tree", "sky"]
    rules.classNames = ClassNames.paperVOC.concepts
    rules.noise = [0.513]
    rules.draws = 1
    rules.normalization = .none
  }

  /// What the authors' scripts have in common.
  private static func paper(layers: [Int]) -> EvaluationProtocol {
    var rules = EvaluationProtocol()
    rules.conceptTokens = .first
    rules.noise = [0.5]
    rules.draws = 5
    rules.zeroesPooledText = true
    rules.layers = layers
    rules.conceptScaling = .overConcepts
    rules.blurs = true
    return rules
  }
}
