import NN
import Testing

@Suite struct SitePatternTests {
  private let site = Site(BlockID("double", 14), .image, .attentionOutput)

  @Test(arguments: [
    "double.14.image.attentionOutput", "double.14.image", "double.14", "double", "*", "*.*.*.*", "double.*.image.*",
    "*.14", "double.14-14", "double.10-18.image", "*.0-99.*.attentionOutput",
  ])
  func matches(_ pattern: String) { #expect(SitePattern(pattern).matches(site)) }

  @Test(arguments: [
    "", "single.14", "double.1", "double.4", "double.15-20", "double.18-10", "double.14.text", "double.14.image.query",
    "double.14.image.attention", "double.14.image.attentionOutput.more", "double..image", "Double.14", "double.14.",
    "double.-14", "double.14-", "dou*", "14",
  ])
  func doesNotMatch(_ pattern: String) { #expect(!SitePattern(pattern).matches(site)) }

  @Test func aSitesOwnNameMatchesItAlone() throws {
    let sites = try ToyModel().sites
    for site in sites { #expect(sites.filter(SitePattern(site).matches) == [site]) }
    #expect(SitePattern(site).description == "double.14.image.attentionOutput")
    #expect(SitePattern("a.b") == "a.b" && SitePattern("a.b") != "a.c")
  }

  @Test func aNameThatLooksLikeARangeIsARangeOfLayersOnly() {
    let rider = Site(BlockID("joint", 3), "1-5", .query)
    #expect(!SitePattern("joint.3.1-5").matches(rider))
    #expect(SitePattern("joint.1-5").matches(rider))
  }
}
