// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
]

let package = Package(
  name: "swift-concept-attention",
  products: [
    .library(name: "Tensor", targets: ["Tensor"]),
    .library(name: "Formats", targets: ["Formats"]),
    .library(name: "NN", targets: ["NN"]),
    .library(name: "Tokenizers", targets: ["Tokenizers"]),
    .library(name: "Models", targets: ["Models"]),
    .library(name: "EmbeddedModels", targets: ["EmbeddedModels"]),
    .library(name: "ConceptAttention", targets: ["ConceptAttention"]),
    .library(name: "Evaluation", targets: ["Evaluation"]),
    .library(name: "Artifacts", targets: ["Artifacts"]),
    // For tests of one's own: comparisons that name the worst place, odd views, golden cases.
    .library(name: "TestSupport", targets: ["TestSupport"]),
    .executable(name: "concept-attention", targets: ["concept-attention"]),
  ],
  // Off unless asked for (`swift build --traits MPI`): the only part that needs Open MPI.
  traits: [.trait(name: "MPI", description: "`evaluate --mpi` shares a run among the processes of mpirun or srun.")],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", .upToNextMinor(from: "1.8.2")),
    .package(url: "https://github.com/swhitty/FlyingFox", .upToNextMinor(from: "0.27.1")),
  ],
  targets: [
    .systemLibrary(name: "COpenBLAS", pkgConfig: "openblas", providers: [.apt(["libopenblas-dev"])]),
    .systemLibrary(name: "CLAPACKE", pkgConfig: "lapacke", providers: [.apt(["liblapacke-dev"])]),
    .systemLibrary(name: "CPNG", pkgConfig: "libpng", providers: [.apt(["libpng-dev"])]),
    .systemLibrary(name: "CJPEG", pkgConfig: "libjpeg", providers: [.apt(["libjpeg-dev"])]),
    .systemLibrary(name: "CGIF", pkgConfig: "libgif", providers: [.apt(["libgif-dev"])]),
    .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
    .systemLibrary(name: "CHDF5", pkgConfig: "hdf5", providers: [.apt(["libhdf5-dev"])]),
    .systemLibrary(name: "CMPI", pkgConfig: "ompi-c", providers: [.apt(["libopenmpi-dev"])]),
    .target(name: "CKernels"),
    .target(name: "CImageCodecs", dependencies: ["CGIF", "CPNG", "CJPEG"]),
    .target(name: "CSignals"),
    .target(name: "Tensor", dependencies: ["CKernels", "COpenBLAS", "CLAPACKE"], swiftSettings: settings),
    .target(name: "Formats", dependencies: ["CImageCodecs", "CSignals", "CZlib", "Tensor"], swiftSettings: settings),
    .target(name: "NN", dependencies: ["Tensor"], swiftSettings: settings),
    .target(name: "Tokenizers", dependencies: ["Formats", "Tensor"], swiftSettings: settings),
    .target(name: "Models", dependencies: ["Formats", "NN", "Tensor", "Tokenizers"], swiftSettings: settings),
    .target(
      name: "EmbeddedModels", dependencies: ["Models"], resources: [.copy("Resources")], swiftSettings: settings),
    .target(
      name: "ConceptAttention", dependencies: ["Formats", "Models", "NN", "Tensor"], swiftSettings: settings),
    .target(
      name: "Evaluation", dependencies: ["CHDF5", "ConceptAttention", "Formats", "Models", "NN", "Tensor"],
      swiftSettings: settings),
    .target(
      name: "Artifacts", dependencies: ["ConceptAttention", "Formats", "NN", "Tensor"],
      resources: [.embedInCode("Page")], swiftSettings: settings),
    .target(
      name: "Explorer",
      dependencies: [
        "Artifacts", .product(name: "FlyingFox", package: "FlyingFox"),
        .product(name: "FlyingSocks", package: "FlyingFox"),
      ],
      resources: [.embedInCode("Page")], swiftSettings: settings),
    .executableTarget(
      name: "concept-attention",
      dependencies: [
        "Artifacts", "ConceptAttention", "EmbeddedModels", "Evaluation", "Explorer", "Formats", "Models", "NN",
        "Tensor", .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .target(name: "CMPI", condition: .when(traits: ["MPI"])),
      ],
      swiftSettings: settings),
    .executableTarget(
      name: "fuzz",
      dependencies: [
        "Artifacts", "ConceptAttention", "EmbeddedModels", "Evaluation", "Explorer", "Formats", "Models", "NN",
        "Tensor",
        "Tokenizers",
      ],
      path: "Tools/fuzz",
      exclude: ["README.md", "corpus", "guided.sh"],
      swiftSettings: settings),
    .target(
      name: "TestSupport", dependencies: ["Formats", "Tensor"], path: "Tests/TestSupport", swiftSettings: settings),
    .testTarget(name: "TensorTests", dependencies: ["Tensor", "TestSupport"], swiftSettings: settings),
    .testTarget(name: "FormatsTests", dependencies: ["Formats", "Tensor", "TestSupport"], swiftSettings: settings),
    .testTarget(name: "NNTests", dependencies: ["NN", "Tensor", "TestSupport"], swiftSettings: settings),
    .testTarget(
      name: "TokenizersTests", dependencies: ["Formats", "Models", "Tensor", "TestSupport", "Tokenizers"],
      swiftSettings: settings),
    .testTarget(
      name: "ModelsTests",
      dependencies: ["EmbeddedModels", "Formats", "Models", "NN", "Tensor", "TestSupport", "Tokenizers"],
      swiftSettings: settings),
    .testTarget(
      name: "ConceptAttentionTests",
      dependencies: ["ConceptAttention", "EmbeddedModels", "Formats", "Models", "NN", "Tensor", "TestSupport"],
      swiftSettings: settings),
    .testTarget(
      name: "EvaluationTests",
      dependencies: ["ConceptAttention", "EmbeddedModels", "Evaluation", "Formats", "Models", "Tensor", "TestSupport"],
      swiftSettings: settings),
    .testTarget(
      name: "ArtifactsTests",
      dependencies: ["Artifacts", "ConceptAttention", "Formats", "NN", "Tensor", "TestSupport"],
      swiftSettings: settings),
    .testTarget(
      name: "CommandTests",
      dependencies: [
        "concept-attention", "ConceptAttention", "EmbeddedModels", "Evaluation", "Formats", "Models", "Tensor",
        "TestSupport",
      ],
      swiftSettings: settings),
  ]
)
