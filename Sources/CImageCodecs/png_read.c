// PNG decoding from memory. libpng's error handler jumps to the setjmp of the entry point that called it.
#include <png.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include "CImageCodecs.h"

struct cic_png_reader {
  png_structp png;
  png_infop info;
  const uint8_t *bytes;
  size_t size, position;
  int keeps_samples;
  jmp_buf recovery;
  char *message;
};

static void on_error(png_structp png, png_const_charp text) {
  cic_png_reader *reader = png_get_error_ptr(png);
  strncpy(reader->message, text, CIC_MESSAGE_SIZE - 1);
  reader->message[CIC_MESSAGE_SIZE - 1] = 0;
  longjmp(reader->recovery, 1);
}

static void on_warning(png_structp png, png_const_charp text) {
  (void)png;
  (void)text;
}

static void read_bytes(png_structp png, png_bytep into, size_t count) {
  cic_png_reader *reader = png_get_io_ptr(png);
  if (count > reader->size - reader->position) png_error(png, "the file ends too early");
  memcpy(into, reader->bytes + reader->position, count);
  reader->position += count;
}

// Colour-management and physical-size chunks do not change the samples (as Pillow does, gAMA is not applied);
// skipping them unread keeps their parsers out of reach of a hostile file.
static void skip_unused_chunks(png_structp png) {
  static const png_byte names[] =
      "bKGD\0cHRM\0gAMA\0hIST\0iCCP\0oFFs\0pCAL\0pHYs\0sBIT\0sCAL\0sPLT\0sRGB\0tIME";
  png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, names, (int)(sizeof(names) / 5));
}

// libpng takes, and clears, as much memory as a chunk claims to be long before it reads it, up to 2 GiB: so every chunk
// must lie within the file. Texts that are compressed have libpng's own limit, 8 MB.
static void require_whole_chunks(cic_png_reader *reader) {
  size_t position = 8;
  while (reader->size - position >= 12) {
    const uint8_t *chunk = reader->bytes + position;
    const size_t length = (size_t)chunk[0] << 24 | (size_t)chunk[1] << 16 | (size_t)chunk[2] << 8 | chunk[3];
    if (length > reader->size - position - 12) break;
    if (memcmp(chunk + 4, "IEND", 4) == 0) return;
    position += length + 12;
  }
  png_error(reader->png, "the file ends too early");
}

// What png_set_expand will make of the file. Worked out here, because asking libpng (png_read_update_info) takes
// memory for rows of the width that the file claims; the caller looks at the width first.
static void describe(cic_png_reader *reader, cic_png_info *out) {
  png_structp png = reader->png;
  png_infop info = reader->info;
  const int transparent = png_get_valid(png, info, PNG_INFO_tRNS) != 0;
  out->file_color_type = png_get_color_type(png, info);
  out->file_bit_depth = png_get_bit_depth(png, info);
  out->interlaced = png_get_interlace_type(png, info) != PNG_INTERLACE_NONE;
  out->width = png_get_image_width(png, info);
  out->height = png_get_image_height(png, info);
  out->bit_depth = out->file_bit_depth == 16 ? 16 : 8;
  switch (out->file_color_type) {
    case PNG_COLOR_TYPE_GRAY: out->channels = 1 + transparent; break;
    case PNG_COLOR_TYPE_GRAY_ALPHA: out->channels = 2; break;
    case PNG_COLOR_TYPE_RGB_ALPHA: out->channels = 4; break;
    default: out->channels = 3 + transparent;
  }
}

static void set_transformations(cic_png_reader *reader) {
  if (reader->keeps_samples) {
    png_set_packing(reader->png);
  } else {
    png_set_expand(reader->png);
  }
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  if (png_get_bit_depth(reader->png, reader->info) == 16) png_set_swap(reader->png);
#endif
  png_set_interlace_handling(reader->png);
  png_read_update_info(reader->png, reader->info);
}

cic_png_reader *cic_png_open(const uint8_t *bytes, size_t size, cic_png_info *info, char *message) {
  cic_png_reader *reader = calloc(1, sizeof *reader);
  if (!reader) {
    strcpy(message, "out of memory");
    return NULL;
  }
  reader->bytes = bytes;
  reader->size = size;
  reader->message = message;
  if (setjmp(reader->recovery)) {
    cic_png_close(reader);
    return NULL;
  }
  reader->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, reader, on_error, on_warning);
  if (reader->png) reader->info = png_create_info_struct(reader->png);
  if (!reader->png || !reader->info) {
    strcpy(message, "libpng could not start");
    cic_png_close(reader);
    return NULL;
  }
  if (size < 8 || png_sig_cmp(bytes, 0, 8) != 0) png_error(reader->png, "not a PNG file");
  png_set_read_fn(reader->png, reader, read_bytes);
  png_set_user_limits(reader->png, 0x7fffffff, 0x7fffffff);  // the caller has a limit of its own
  require_whole_chunks(reader);
  skip_unused_chunks(reader->png);
  png_read_info(reader->png, reader->info);
  describe(reader, info);
  return reader;
}

void cic_png_keep_samples(cic_png_reader *reader, cic_png_info *info) {
  reader->keeps_samples = 1;
  switch (info->file_color_type) {
    case PNG_COLOR_TYPE_GRAY_ALPHA: info->channels = 2; break;
    case PNG_COLOR_TYPE_RGB: info->channels = 3; break;
    case PNG_COLOR_TYPE_RGB_ALPHA: info->channels = 4; break;
    default: info->channels = 1;
  }
}

int cic_png_palette(cic_png_reader *reader, const uint8_t **colors) {
  png_colorp palette = NULL;
  int count = 0;
  if (!png_get_PLTE(reader->png, reader->info, &palette, &count)) count = 0;
  *colors = (const uint8_t *)palette;
  return count;
}

int cic_png_decode(cic_png_reader *reader, uint8_t *pixels, size_t capacity, char *message) {
  reader->message = message;
  if (setjmp(reader->recovery)) return 0;
  png_structp png = reader->png;
  set_transformations(reader);
  const size_t row_bytes = png_get_rowbytes(png, reader->info);
  const uint32_t height = png_get_image_height(png, reader->info);
  if (row_bytes == 0 || capacity % row_bytes != 0 || capacity / row_bytes != height) {
    png_error(png, "the buffer does not have the size of the picture");
  }
  const int passes = png_get_interlace_type(png, reader->info) == PNG_INTERLACE_NONE ? 1 : 7;
  for (int pass = 0; pass < passes; pass++)
    for (uint32_t y = 0; y < height; y++) png_read_row(png, pixels + y * row_bytes, NULL);
  png_read_end(png, reader->info);
  return 1;
}

size_t cic_png_text_count(cic_png_reader *reader) {
  png_textp texts;
  int count = 0;
  png_get_text(reader->png, reader->info, &texts, &count);
  return count > 0 ? (size_t)count : 0;
}

cic_png_text cic_png_text_at(cic_png_reader *reader, size_t index) {
  png_textp texts = NULL;
  int count = 0;
  png_get_text(reader->png, reader->info, &texts, &count);
  const png_text *text = &texts[index];
  const int is_utf8 = text->compression == PNG_ITXT_COMPRESSION_NONE || text->compression == PNG_ITXT_COMPRESSION_zTXt;
  return (cic_png_text){
      .keyword = text->key,
      .text = text->text ? text->text : "",
      .length = text->text ? (is_utf8 ? text->itxt_length : text->text_length) : 0,
      .is_utf8 = is_utf8,
  };
}

const uint8_t *cic_png_exif(cic_png_reader *reader, size_t *size) {
#ifdef PNG_eXIf_SUPPORTED
  png_bytep exif = NULL;
  png_uint_32 count = 0;
  if (png_get_eXIf_1(reader->png, reader->info, &count, &exif) && exif) {
    *size = count;
    return exif;
  }
#endif
  *size = 0;
  return NULL;
}

void cic_png_close(cic_png_reader *reader) {
  if (reader->png) png_destroy_read_struct(&reader->png, reader->info ? &reader->info : NULL, NULL);
  free(reader);
}

void cic_free(void *memory) { free(memory); }
