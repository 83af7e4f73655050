// Letters for the labels of the contact sheet.

/// A font of 5 × 8 dots for printable ASCII; the lowest row holds descenders. Any other character is shown as a box.
enum BitmapFont {
  static let glyphWidth = 5
  static let glyphHeight = 8
  /// From the left edge of a letter to that of the next.
  static let advance = 6

  /// Five columns from left to right, the lowest bit on top.
  static func columns(_ character: Character) -> ArraySlice<UInt8> {
    guard let code = character.asciiValue, (0x20...0x7E).contains(code) else { return box[...] }
    let start = Int(code - 0x20) * glyphWidth
    return glyphs[start..<start + glyphWidth]
  }

  private static let box: [UInt8] = [0x7F, 0x41, 0x41, 0x41, 0x7F]

  /// Ten hexadecimal digits per character, from the space to the tilde.
  private static let glyphs: [UInt8] = {
    let digits = dots.utf8.filter { $0 > 0x20 }.map { $0 < UInt8(ascii: "A") ? $0 - 0x30 : $0 - UInt8(ascii: "A") + 10 }
    return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
  }()

  private static let dots = """
    0000000000 00005F0000 0007000700 147F147F14 242A7F2A12 2313086462 3649562050 0000070000 001C224100 0041221C00
    2A1C7F1C2A 08083E0808 0080703000 0808080808 0000606000 2010080402 3E5149453E 00427F4000 4261514946 2241494936
    1814127F10 2745454539 3C4A494931 0171090503 3649494936 464949291E 0000363600 0080763600 0008142241 1414141414
    0041221408 0201510906 3E415D594E 7C1211127C 7F49494936 3E41414122 7F4141413E 7F49494941 7F09090901 3E4149497A
    7F0808087F 00417F4100 2040413F01 7F08142241 7F40404040 7F020C027F 7F0408107F 3E4141413E 7F09090906 3E4151215E
    7F09192946 2649494932 01017F0101 3F4040403F 1F2040201F 3F4038403F 6314081463 0304780403 6151494543 007F414100
    0204081020 0041417F00 0402010204 8080808080 0001020400 2054545478 7F48444438 3844444428 384444487F 3854545418
    00087E0902 18A4A4A47C 7F08040478 00447D4000 4080847D00 007F102844 00417F4000 7C04780478 7C08040478 3844444438
    FC24242418 18242424FC 7C08040408 4854545424 043E444020 3C4040207C 1C2040201C 3C4030403C 4428102844 1CA0A0A07C
    4464544C44 0008364100 00007F0000 0041360800 0402040804
    """
}
