#!/usr/bin/env bash
# Builds the documentation of every library into docs-build/<Module>.doccarchive with the toolchain's own docc; a warning
# fails, save one kind. A module's articles, where it has any, lie in Sources/<Module>/<Module>.docc.
set -euo pipefail
cd "$(dirname "$0")/.."

docc=$(command -v docc || echo "$(dirname "$(readlink -f "$(command -v swift)")")/docc")
if [ ! -x "$docc" ]; then
  echo "docs: this Swift toolchain has no docc; the toolchains from https://www.swift.org/install/linux/ do" >&2
  exit 1
fi

log=$(mktemp)
work=$(mktemp -d)
trap 'rm -rf "$log" "$work"' EXIT
quietly() { "$@" >"$log" 2>&1 || { cat "$log" >&2; exit 1; }; }

# The compiler writes the symbol graphs, in a build folder of its own. 'swift package dump-symbol-graph' would do, but
# fails on a package with several test targets (Swift 6.3).
graphs=$PWD/.build/docs/symbol-graphs
mkdir -p "$graphs"
quietly swift build --scratch-path .build/docs -Xswiftc -emit-symbol-graph -Xswiftc -emit-symbol-graph-dir \
  -Xswiftc "$graphs" -Xswiftc -symbol-graph-minimum-access-level -Xswiftc public \
  -Xswiftc -symbol-graph-skip-synthesized-members

rm -rf docs-build
mkdir docs-build
failed=0
for graph in "$graphs"/*.symbols.json; do
  module=$(basename "$graph" .symbols.json)
  # Leaves out extensions (Module@Other), the test support and dependencies.
  [ -d "Sources/$module" ] || continue
  mkdir "$work/$module"
  cp "$graph" "$graphs/$module@"*.symbols.json "$work/$module/" 2>/dev/null || cp "$graph" "$work/$module/"
  catalog=()
  if [ -d "Sources/$module/$module.docc" ]; then catalog=("Sources/$module/$module.docc"); fi
  quietly "$docc" convert "${catalog[@]}" --additional-symbol-graph-dir "$work/$module" \
    --fallback-display-name "$module" --fallback-bundle-identifier "swift-concept-attention.$module" \
    --output-path "docs-build/$module.doccarchive"
  # A parameter whose name says it all needs no text, even beside parameters that have one.
  problems=$(awk 'BEGIN { RS = ""; ORS = "\n\n" } /^(warning|error): / && !/^warning: Parameter .* is missing doc/' "$log")
  if [ -n "$problems" ]; then
    printf '%s\n' "$problems" "docs: $module has documentation warnings (above)" >&2
    failed=1
  fi
  echo "docs-build/$module.doccarchive"
done
exit $failed
