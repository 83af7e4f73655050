/// The words of a prompt that name something, in order, without repetition.
func contentWords(_ prompt: String) -> [String] {
  var seen: Set<String> = []
  return prompt.lowercased().split { !($0.isLetter || $0.isNumber || $0 == "-" || $0 == "'") }.map(String.init)
    .filter { !stopWords.contains($0) && seen.insert($0).inserted }
}

/// Words that are no concepts of their own. Colours are among them: they belong to the thing they describe, and a map
/// of "red" would only take that thing's spot from it.
private let stopWords: Set<String> = Set(
  """
  a an the and or but nor of in on at by for with without to from into onto over under above below between behind
  beside next near left right front back top bottom up down out off as is are was were be been being it its this that
  these those there here his her their our your my he she they we you i who which what where when while very some any
  no not picture photo photograph image painting drawing scene view close-up red orange yellow green blue purple pink
  white black brown grey gray
  """.split { $0 == " " || $0 == "\n" }.map(String.init))
