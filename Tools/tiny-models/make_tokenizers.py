"""Builds the tokenizers, in the files large models have; every word is one token.

in:   nothing
out:  WORK/tokenizers/tokenizer      CLIP: byte-level BPE (vocab.json, merges.txt, tokenizer.json)
      WORK/tokenizers/tokenizer_2    T5: SentencePiece unigram (spiece.model, tokenizer.json)
      WORK/tokenizers/clips          T5's for clips, which has words of motion too
"""

import io
import json
import random
from collections import Counter
from pathlib import Path

import sentencepiece
from transformers import CLIPTokenizer, T5TokenizerFast

from captions import random_caption
from clip_captions import clip_caption
from clips import CLIP_VOCABULARY, make_clip
from common import argument_parser
from scenes import VOCABULARY, make_scene
from sizes import FLUX_CLIP_TOKENS, TEXT_TOKENS


def build_t5(folder: Path, captions: list[str], vocabulary: list[str]) -> T5TokenizerFast:
    """Trained on captions, and on each word alone."""
    lines = captions + vocabulary * 200
    folder.mkdir(parents=True, exist_ok=True)
    model = io.BytesIO()  # from lines into memory: the file would name the files it was made from
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=model,
        model_type="unigram",
        vocab_size=220,
        hard_vocab_limit=False,
        character_coverage=1.0,
        required_chars="abcdefghijklmnopqrstuvwxyz,.'-",
        **{"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1},
        minloglevel=2,
    )
    (folder / "spiece.model").write_bytes(model.getvalue())
    tokenizer = T5TokenizerFast.from_pretrained(folder, extra_ids=0, model_max_length=TEXT_TOKENS)
    tokenizer.save_pretrained(folder)
    (folder / "spiece.model").write_bytes(model.getvalue())  # save_pretrained may leave it out
    return tokenizer


def build_clip(folder: Path) -> CLIPTokenizer:
    bytes_ = byte_symbols()
    merges = word_merges(VOCABULARY)
    symbols = [*bytes_, *(byte + "</w>" for byte in bytes_), *(a + b for a, b in merges)]
    symbols += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {symbol: index for index, symbol in enumerate(dict.fromkeys(symbols))}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False))
    lines = "".join(f"{a} {b}\n" for a, b in merges)
    (folder / "merges.txt").write_text("#version: 0.2\n" + lines)
    tokenizer = CLIPTokenizer.from_pretrained(folder, model_max_length=FLUX_CLIP_TOKENS)
    tokenizer.save_pretrained(folder)
    return tokenizer


def byte_symbols() -> list[str]:
    """GPT-2's printable stand-in for every byte, in the order that defines ids 0 to 255."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + i) for i in range(len(others))]


def word_merges(vocabulary: list[str]) -> list[tuple[str, str]]:
    """Byte-pair merges, most frequent pair first, until every word is one symbol."""
    words = [[*word[:-1], word[-1] + "</w>"] for word in dict.fromkeys(vocabulary)]
    merges: list[tuple[str, str]] = []
    while True:
        counts = Counter(pair for symbols in words for pair in zip(symbols, symbols[1:]))
        if not counts:
            return merges
        pair = max(counts, key=lambda pair: (counts[pair], pair))
        merges.append(pair)
        words = [merged(symbols, pair) for symbols in words]


def merged(symbols: list[str], pair: tuple[str, str]) -> list[str]:
    result, index = [], 0
    while index < len(symbols):
        width = 2 if tuple(symbols[index : index + 2]) == pair else 1
        result.append("".join(symbols[index : index + width]))
        index += width
    return result


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--captions", type=int, default=60_000, help="captions to train T5's on")
    args = parser.parse_args()
    folder: Path = args.work / "tokenizers"
    # Of scenes that are in no other set.
    seeds = [(seed, random.Random(seed)) for seed in range(args.captions)]
    of_scenes = [random_caption(make_scene(seed), r) for seed, r in seeds]
    t5 = build_t5(folder / "tokenizer_2", of_scenes, VOCABULARY)
    clip = build_clip(folder / "tokenizer")
    of_clips = [clip_caption(make_clip(seed), r) for seed, r in seeds]
    clips = build_t5(folder / "clips", of_clips, CLIP_VOCABULARY)
    for word in VOCABULARY:
        # Each word comes with an end token, CLIP's with a start token too.
        if len(t5(word).input_ids) != 2 or len(clip(word).input_ids) != 3:
            print(f"note: {word!r} is several tokens: {t5.tokenize(word)}, {clip.tokenize(word)}")
    for word in CLIP_VOCABULARY:
        if len(clips(word).input_ids) != 2:
            print(f"note: {word!r} is several tokens: {clips.tokenize(word)}")
    print(f"{len(clip)} CLIP, {len(t5)} T5 and {len(clips)} T5 tokens for clips in {folder}")


if __name__ == "__main__":
    main()
