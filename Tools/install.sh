#!/usr/bin/env bash
# Puts the built program, the embedded models and shell completions below a folder: `make install PREFIX=…` calls it.
set -euo pipefail
cd "$(dirname "$0")/.."

prefix=${1:?usage: Tools/install.sh PREFIX}
program=.build/release/concept-attention
[ -x "$program" ] || { echo "install: $program is not built" >&2; exit 1; }

# A program that is running is replaced, not written over.
install -d "$prefix/bin" "$prefix/share/concept-attention"
install -m 755 "$program" "$prefix/bin/.concept-attention.new"
mv -f "$prefix/bin/.concept-attention.new" "$prefix/bin/concept-attention"

models=$prefix/share/concept-attention/models
rm -rf "$models.new"
cp -RL Sources/EmbeddedModels/Resources "$models.new"
chmod -R u+w,go+rX "$models.new"
rm -rf "$models"
mv "$models.new" "$models"

completions() { # shell, folder, file
  install -d "$prefix/$2"
  "$program" --generate-completion-script "$1" > "$prefix/$2/$3"
}
completions bash share/bash-completion/completions concept-attention
completions zsh share/zsh/site-functions _concept-attention
completions fish share/fish/vendor_completions.d concept-attention.fish
echo "installed $prefix/bin/concept-attention, the models in $models, completions for bash, zsh and fish"
