// swift-tools-version: 6.2
import PackageDescription

let package = Package(
  name: "Methods",
  dependencies: [.package(name: "swift-concept-attention", path: "../..")],
  targets: [
    .executableTarget(
      name: "methods",
      dependencies: ["ConceptAttention", "EmbeddedModels", "Models", "NN", "Tensor"].map {
        .product(name: $0, package: "swift-concept-attention")
      },
      swiftSettings: [.enableUpcomingFeature("ExistentialAny"), .enableUpcomingFeature("MemberImportVisibility")])
  ]
)
