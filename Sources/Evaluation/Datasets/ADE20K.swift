import Foundation

/// ADE20K's scene parsing: `ADEChallengeData2016`, 150 classes, no background; 0 is void.
///
/// There is no list: the split is a folder. Names come from `objectInfo150.txt`, the first of a class's synonyms.
enum ADE20K {
  static func open(_ folder: DatasetFolder, split: String) throws -> MaskedPictures {
    let base = "ADEChallengeData2016"
    let part = split == "val" ? "validation" : split == "train" ? "training" : split
    var warnings: [String] = []
    let classes = SegmentationClasses(try names(folder, "\(base)/objectInfo150.txt", &warnings))
    let pictures = "\(base)/images/\(part)", masks = "\(base)/annotations/\(part)"
    let pairs = PairedNames(
      pictures: try folder.names(in: pictures), masks: try folder.names(in: masks), maskEnds: [".png"])
    guard pairs.hasPictures else { throw DatasetProblem(pictures, "there are no pictures") }
    let entries = pairs.sorted.map {
      MaskedPictures.Entry(
        id: $0, picture: "\(pictures)/\(pairs.picture($0, expected: $0 + ".jpg"))", mask: "\(masks)/\($0).png")
    }
    return MaskedPictures(
      folder: folder, classes: classes, numberings: [LabelNumbering(classes, void: [0])], entries: entries,
      warnings: warnings)
  }

  private static func names(_ folder: DatasetFolder, _ path: String, _ warnings: inout [String]) throws -> [Int: String]
  {
    guard folder.contains(path) else {
      warnings.append("\(path): no such file; the classes have the names known to this program")
      return Dictionary(uniqueKeysWithValues: zip(1..., builtIn))
    }
    var names: [Int: String] = [:]
    for line in lines(try folder.bytes(path)).dropFirst() where !line.isEmpty {
      let columns = line.split(separator: "\t", omittingEmptySubsequences: false).map {
        $0.trimmingCharacters(in: .whitespaces)
      }
      guard columns.count >= 5, let number = Int(columns[0]), let name = columns[4].split(separator: ",").first else {
        throw DatasetProblem(path, "expected number, ratio, counts and names, found '\(line.prefix(60))'")
      }
      names[number] = name.trimmingCharacters(in: .whitespaces)
    }
    if names.isEmpty { throw DatasetProblem(path, "there are no classes") }
    try SegmentationClasses.check(names.count, path)
    return names
  }

  private static let builtIn = words(
    """
    wall building sky floor tree ceiling road bed windowpane grass cabinet sidewalk person
    earth door table mountain plant curtain chair car water painting sofa shelf house sea
    mirror rug field armchair seat fence desk rock wardrobe lamp bathtub railing cushion
    base box column signboard chest_of_drawers counter sand sink skyscraper fireplace
    refrigerator grandstand path stairs runway case pool_table pillow screen_door stairway
    river bridge bookcase blind coffee_table toilet flower book hill bench countertop stove
    palm kitchen_island computer swivel_chair boat bar arcade_machine hovel bus towel light
    truck tower chandelier awning streetlight booth television airplane dirt_track apparel
    pole land bannister escalator ottoman bottle buffet poster stage van ship fountain
    conveyer_belt canopy washer plaything swimming_pool stool barrel basket waterfall tent
    bag minibike cradle oven ball food step tank trade_name microwave pot animal bicycle
    lake dishwasher screen blanket sculpture hood sconce vase traffic_light tray ashcan fan
    pier crt_screen plate monitor bulletin_board shower radiator glass clock flag
    """)
}
