import Models
import NN

// The methods there are, each with its class.

extension MapMethod {
  public static let conceptAttention = MapMethod(
    name: "concept-attention",
    summary: "attention outputs of concepts and image tokens (arXiv 2502.04320); concepts need not be in the prompt"
  ) { request in
    try request.pipeline.conceptAttention(
      request.concepts, options: request.options, maxSequenceLength: request.maxSequenceLength)
  }

  public static let crossAttention = MapMethod(
    name: "cross-attention", summary: "how much image tokens look at the prompt's words (DAAM, arXiv 2210.04885)",
    needsWords: true
  ) { request in
    RawCrossAttention(
      concepts: try request.words(for: "cross-attention"), in: request.blocks, passes: request.passes,
      keeping: request.options.keeping)
  }

  public static let seg4Diff = MapMethod(
    name: "seg4diff", summary: "the same, scaled over the picture word by word (Seg4Diff, arXiv 2509.18096)",
    needsWords: true
  ) { request in
    Seg4Diff(try request.words(for: "seg4diff"), in: request.blocks, passes: request.passes)
  }

  public static let metagame = MapMethod(
    name: "metagame",
    summary: "concept-attention's maps without what concepts do to one another (METAGAME, arXiv 2605.06295); at most "
      + "\(Metagame.mostConcepts) concepts"
  ) { request in
    Metagame(try request.conceptSet(), .streams, options: request.options)
  }

  public static let gramCol = MapMethod(
    name: "gramcol", summary: "likeness to the token that looks at the concept most (GramCol, arXiv 2603.02919)"
  ) { request in
    GramCol(try request.conceptSet(), options: request.options)
  }

  public static let imap = MapMethod(
    name: "imap",
    summary: "gramcol with the five heads whose outputs differ most from frame to frame, for videos (IMAP, arXiv "
      + "2603.02919); in a picture all heads count"
  ) { request in
    GramCol(try request.conceptSet(), options: request.options, topHeads: 5)
  }

  public static let attentionChains = MapMethod(
    name: "attention-chains",
    summary: "where attention leads from the prompt's words in two steps (arXiv 2507.17657)", needsWords: true
  ) { request in
    AttentionChains(
      try request.words(for: "attention-chains"), in: request.blocks, passes: request.passes,
      keeping: request.options.keeping)
  }

  public static let goCA = MapMethod(
    name: "goca",
    summary: "looks at the prompt's words with heads and layers weighted, spread along self-attention (GoCA, arXiv "
      + "2603.06178)", needsWords: true
  ) { request in
    GoCA(try request.words(for: "goca"), in: request.blocks, passes: request.passes)
  }
}
