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
    .library(name: "NN", targets: ["NN"]),
    .library(name: "Models", targets: ["Models"]),
    .library(name: "ConceptAttention", targets: ["ConceptAttention"]),
    .executable(name: "concept-attention", targets: ["concept-attention"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2")
  ],
  targets: [
    .systemLibrary(name: "COpenBLAS", pkgConfig: "openblas", providers: [.apt(["libopenblas-dev"])]),
    .systemLibrary(name: "CLAPACKE", pkgConfig: "lapacke", providers: [.apt(["liblapacke-dev"])]),
    .systemLibrary(name: "CPNG", pkgConfig: "libpng", providers: [.apt(["libpng-dev"])]),
    .systemLibrary(name: "CJPEG", pkgConfig: "libjpeg", providers: [.apt(["libjpeg-dev"])]),
    .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
    .target(name: "CKernels"),
    .target(name: "CImageCodecs", dependencies: ["CPNG", "CJPEG"]),
    .target(
      name: "Tensor",
      dependencies: ["CKernels", "CImageCodecs", "COpenBLAS", "CLAPACKE", "CZlib"],
      swiftSettings: settings),
    .target(name: "NN", dependencies: ["Tensor"], swiftSettings: settings),
    .target(
      name: "Models", dependencies: ["NN", "Tensor"], resources: [.copy("Resources")], swiftSettings: settings),
    .target(name: "ConceptAttention", dependencies: ["Models", "NN", "Tensor"], swiftSettings: settings),
    .executableTarget(
      name: "concept-attention",
      dependencies: [
        "ConceptAttention", "Models", "NN", "Tensor",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: settings),
    .executableTarget(
      name: "fuzz-formats", dependencies: ["Tensor"], path: "Tools/fuzz", exclude: ["README.md"],
      swiftSettings: settings),
    .target(name: "TestSupport", dependencies: ["Tensor"], path: "Tests/TestSupport", swiftSettings: settings),
    .testTarget(
      name: "TensorTests", dependencies: ["Tensor", "TestSupport"],
      swiftSettings: settings),
    .testTarget(
      name: "NNTests", dependencies: ["NN", "Tensor", "TestSupport"],
      swiftSettings: settings),
    .testTarget(
      name: "ModelsTests", dependencies: ["Models", "NN", "Tensor", "TestSupport"],
      swiftSettings: settings),
    .testTarget(
      name: "CommandTests", dependencies: ["concept-attention", "Models", "Tensor"], swiftSettings: settings),
    .testTarget(
      name: "ConceptAttentionTests", dependencies: ["ConceptAttention", "Models", "NN", "Tensor", "TestSupport"],
      swiftSettings: settings),
  ]
)
