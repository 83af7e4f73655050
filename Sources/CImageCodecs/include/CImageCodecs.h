// PNG, JPEG and GIF over libpng, libjpeg-turbo and giflib, for callers that must never see a longjmp.
//
// The first two report errors by jumping out of the call. Every such jump starts and ends inside this target: each
// function here returns to its caller, with 0 (or a null pointer) and a text in `message` when something was wrong.
// Input is read from memory, output is written to memory; files and their names are the caller's business.
#pragma once
#include <stddef.h>
#include <stdint.h>

enum { CIC_MESSAGE_SIZE = 256 };

// MARK: PNG

typedef struct cic_png_reader cic_png_reader;

// What a decoded picture will be: palettes, grey of less than 8 bits and transparent colours are expanded.
typedef struct cic_png_info {
  uint32_t width, height;
  int channels;         // 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA
  int bit_depth;        // 8 or 16
  int file_color_type;  // as in IHDR: 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGBA
  int file_bit_depth;   // as in IHDR: 1, 2, 4, 8, 16
  int interlaced;
} cic_png_info;

// One tEXt, zTXt or iTXt chunk; the pointers belong to the reader.
typedef struct cic_png_text {
  const char *keyword;  // Latin-1, zero-terminated
  const char *text;     // Latin-1, or UTF-8 when is_utf8; zero-terminated
  size_t length;        // bytes of text
  int is_utf8;
} cic_png_text;

// Reads the chunks before the pixels, taking no memory in proportion to the picture. `bytes` must outlive the reader.
cic_png_reader *cic_png_open(const uint8_t *bytes, size_t size, cic_png_info *info, char *message);
// Decodes all rows (16-bit samples in this machine's byte order) and the chunks behind them.
// `capacity` must be height * width * channels * bit_depth / 8. Once per reader.
int cic_png_decode(cic_png_reader *reader, uint8_t *pixels, size_t capacity, char *message);
// Makes cic_png_decode give samples as stored: a palette's indices, grey of less than 8 bits not scaled, one byte each;
// transparent colours are left alone. Updates `info`. Before cic_png_decode.
void cic_png_keep_samples(cic_png_reader *reader, cic_png_info *info);
// The palette's red, green and blue, 3 bytes each, or null; valid while the reader is. Returns the number of its entries.
int cic_png_palette(cic_png_reader *reader, const uint8_t **colors);
// Texts seen so far: those behind the pixels only after cic_png_decode.
size_t cic_png_text_count(cic_png_reader *reader);
cic_png_text cic_png_text_at(cic_png_reader *reader, size_t index);
// The TIFF structure of an eXIf chunk, or null.
const uint8_t *cic_png_exif(cic_png_reader *reader, size_t *size);
void cic_png_close(cic_png_reader *reader);

typedef struct cic_png_picture {
  const uint8_t *pixels;  // rows without gaps, 16-bit samples in this machine's byte order
  uint32_t width, height;
  int channels, bit_depth;
  int compression_level;  // 0 to 9
} cic_png_picture;

// Returns the encoded file, to be freed with cic_free, or null.
uint8_t *cic_png_encode(
    const cic_png_picture *picture, const cic_png_text *texts, size_t text_count, size_t *size, char *message);

// MARK: JPEG

typedef struct cic_jpeg_reader cic_jpeg_reader;

typedef struct cic_jpeg_info {
  uint32_t width, height;
  int channels;             // 1 grey or 3 RGB
  int arithmetic_coding;    // not Huffman: the coded size bounds nothing
} cic_jpeg_info;

cic_jpeg_reader *cic_jpeg_open(const uint8_t *bytes, size_t size, cic_jpeg_info *info, char *message);
// Decodes to rows of width * channels bytes. Damage that libjpeg only warns of (a premature end, bad codes) fails.
int cic_jpeg_decode(cic_jpeg_reader *reader, uint8_t *pixels, size_t capacity, char *message);
// The TIFF structure of an Exif marker, or null; only before cic_jpeg_decode, which lets go of the markers.
const uint8_t *cic_jpeg_exif(cic_jpeg_reader *reader, size_t *size);
void cic_jpeg_close(cic_jpeg_reader *reader);
// RGB rows without gaps, quality 1 to 100. Returns the encoded file, to be freed with cic_free, or null.
uint8_t *cic_jpeg_encode(
    const uint8_t *rgb, uint32_t width, uint32_t height, int quality, size_t *size, char *message);

// MARK: GIF

typedef struct cic_gif_reader cic_gif_reader;

// Reads what stands before the frames, taking no memory in proportion to the canvas. `bytes` must outlive the reader.
cic_gif_reader *cic_gif_open(const uint8_t *bytes, size_t size, uint32_t *width, uint32_t *height, char *message);
// The next frame as it is seen, RGB, black where nothing was ever drawn; valid until the next call. `delay` is in
// hundredths of a second. Null at the end, where `at_end` becomes 1, and when something is wrong.
const uint8_t *cic_gif_next(cic_gif_reader *reader, int *delay, int *at_end, char *message);
void cic_gif_close(cic_gif_reader *reader);

typedef struct cic_gif_writer cic_gif_writer;

// An animation that is shown again and again. `comment` may be null.
cic_gif_writer *cic_gif_create(uint32_t width, uint32_t height, const char *comment, char *message);
// A frame of RGB rows without gaps, shown for `delay` hundredths of a second.
int cic_gif_add(cic_gif_writer *writer, const uint8_t *rgb, int delay, char *message);
// Ends the writer. Returns the encoded file, to be freed with cic_free, or null.
uint8_t *cic_gif_finish(cic_gif_writer *writer, size_t *size, char *message);
// Ends the writer without a file.
void cic_gif_discard(cic_gif_writer *writer);

void cic_free(void *memory);
