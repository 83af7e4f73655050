// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
]

let package = Package(
  name: "Benchmarks",
  products: [.library(name: "Harness", targets: ["Harness"])],
  dependencies: [
    .package(name: "swift-concept-attention", path: ".."),
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
  ],
  targets: [
    .target(name: "CPeak"),
    .target(name: "Harness", dependencies: ["CPeak"], swiftSettings: settings),
    .executableTarget(
      name: "bench",
      dependencies: [
        "Harness",
        .product(name: "ConceptAttention", package: "swift-concept-attention"),
        .product(name: "Formats", package: "swift-concept-attention"),
        .product(name: "Models", package: "swift-concept-attention"),
        .product(name: "NN", package: "swift-concept-attention"),
        .product(name: "Tensor", package: "swift-concept-attention"),
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: settings),
    .testTarget(name: "HarnessTests", dependencies: ["Harness"], swiftSettings: settings),
  ]
)
