import NN

extension CheckpointOptions {
  /// The autoencoder's configuration and weights, under diffusers' names.
  ///
  /// - Parameter standard: the configuration of the family's published autoencoder, for a folder that has none
  func autoencoder(
    of folder: ModelFolder, standard: AutoencoderKLConfig
  ) throws -> (config: AutoencoderKLConfig, weights: any WeightSource) {
    let part = try part("vae", of: folder, prefixes: ["first_stage_model.", "vae."], hint: nil)
    return (try config(of: part) ?? standard, converted(AutoencoderOriginalNames.renamed(part.weights)))
  }
}
