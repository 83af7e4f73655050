/// The kinds of golden case that the test target of the Tensor module runs. A kind that is nowhere in this file fails
/// `everyCaseIsRecognised`.
public enum TensorKind: String, GoldenKind {
  case linear
  case conv2d
  case conv3d
  case activation
  case layerNorm = "layer_norm"
  case rmsNorm = "rms_norm"
  case groupNorm = "group_norm"
  case ropeFlux = "rope_flux"
  case ropeCogVideoX = "rope_cogvideox"
  case sdpa
  case torchRandom = "torch_randn"
  case torchResize = "resize_torch"
  case pillowResize = "resize_pil"
}

/// The kinds that the test target of the Formats module runs.
public enum FormatsKind: String, GoldenKind {
  case safetensorsFile = "safetensors_file"
  case safetensorsMalformed = "safetensors_malformed"
  case npyFile = "npy_file"
  case ggufFile = "gguf_file"
}

/// The kinds that the test target of the NN module runs.
public enum NNKind: String, GoldenKind {
  case adaptiveNorm = "adaln"
  case causalConv3d = "conv3d_causal"
  case feedForward = "gated_ff"
  case patchEmbedding = "pos_embed_2d"
  case positions3D = "pos_embed_3d_sincos"
  case rotaryFlux = "rope_flux"
  case rotaryCogVideoX = "rope_cogvideox"
  case relativePositionBias = "t5_rel_bias"
  case timestepEmbedding = "timestep_embedding"
  case timestepMLP = "timestep_mlp"
}

/// The kinds that the test target of the Tokenizers module runs.
public enum TokenizersKind: String, GoldenKind {
  case tokenizer
}

/// The kinds that the test target of the Models module runs.
public enum ModelsKind: String, GoldenKind {
  case schedulerFlowEuler = "scheduler_flow_euler"
  case schedulerCogVideoXDDIM = "scheduler_cogvideox_ddim"
  case schedulerCogVideoXDPM = "scheduler_cogvideox_dpm"
  case block = "dit_block"
  case blockGradient = "block_gradient"
  case fluxTransformer = "flux_transformer"
  case sd3Transformer = "sd3_transformer"
  case cogVideoXTransformer = "cogvideox_transformer"
  case transformerGradient = "transformer_gradient"
  case sd3PromptAssembly = "sd3_prompt_assembly"
  case clipText = "clip_text"
  case t5Encoder = "t5_encoder"
  case autoencoderKL = "autoencoder_kl"
  case autoencoderKLCogVideoX = "autoencoder_kl_cogvideox"
  case pipeline = "pipeline_run"
  case pipelineWithoutT5 = "pipeline_run_without_t5"
  case imageToImage = "pipeline_image_to_image"
  case imageToVideo = "pipeline_image_to_video"
}

/// The kinds that the test target of the ConceptAttention module runs.
public enum ConceptKind: String, GoldenKind {
  case flux = "concept_flux"
  case sd3 = "concept_sd3"
  case cogVideoX = "concept_cogvideox"
  case fluxEncodeImage = "concept_flux_encode_image"
  case encoding = "concept_encoding"
}

/// The kinds that the test target of the ConceptAttention module runs for methods beside its own.
public enum MethodKind: String, GoldenKind {
  case attentionChains = "method_chains"
  case daam = "method_daam"
  case goCA = "method_goca"
  case gramCol = "method_gramcol"
  case headAblation = "method_head_ablation"
  case knockout = "method_knockout"
  case lens = "method_lens"
  case metagame = "method_metagame"
  case perturbedGuidance = "method_perturbed_guidance"
  case principalColors = "method_pca_twonn"
  case seg4Diff = "method_seg4diff"
  case sparseAutoencoder = "method_sae"
  case taca = "method_taca"
}

/// The kinds that the test target of the Evaluation module runs.
public enum EvaluationKind: String, GoldenKind {
  case averagePrecision = "metric_ap"
  case imageAveragePrecision = "metric_image_ap"
  case classCounts = "metric_counts"
  case binarySegmentation = "metric_segmentation"
}

/// Every kind of every target.
public let recognisedKinds: Set<String> = Set(
  TensorKind.allCases.map(\.rawValue) + FormatsKind.allCases.map(\.rawValue) + NNKind.allCases.map(\.rawValue)
    + TokenizersKind.allCases.map(\.rawValue) + ModelsKind.allCases.map(\.rawValue)
    + ConceptKind.allCases.map(\.rawValue) + MethodKind.allCases.map(\.rawValue)
    + EvaluationKind.allCases.map(\.rawValue))
