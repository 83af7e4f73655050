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
  case safetensorsFile = "safetensors_file"
  case safetensorsMalformed = "safetensors_malformed"
  case npyFile = "npy_file"
  case ggufFile = "gguf_file"
  case sdpa
  case torchRandom = "torch_randn"
  case torchResize = "resize_torch"
  case pillowResize = "resize_pil"
}

/// The kinds that the test target of the Models module runs.
public enum ModelsKind: String, GoldenKind {
  case tokenizer
  case schedulerFlowEuler = "scheduler_flow_euler"
  case schedulerCogVideoXDDIM = "scheduler_cogvideox_ddim"
  case schedulerCogVideoXDPM = "scheduler_cogvideox_dpm"
}

/// Every kind of every target.
public let recognisedKinds: Set<String> = Set(
  TensorKind.allCases.map(\.rawValue) + ModelsKind.allCases.map(\.rawValue))
