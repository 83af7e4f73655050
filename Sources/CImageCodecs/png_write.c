// PNG encoding into memory, with text chunks in front of the pixels.
#include <png.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include "CImageCodecs.h"

typedef struct png_writer {
  png_structp png;
  png_infop info;
  png_textp texts;
  uint8_t *bytes;
  size_t size, capacity;
  int finished;  // here, not in a local, whose value a jump would leave undefined
  jmp_buf recovery;
  char *message;
} png_writer;

static void on_error(png_structp png, png_const_charp text) {
  png_writer *writer = png_get_error_ptr(png);
  strncpy(writer->message, text, CIC_MESSAGE_SIZE - 1);
  writer->message[CIC_MESSAGE_SIZE - 1] = 0;
  longjmp(writer->recovery, 1);
}

static void on_warning(png_structp png, png_const_charp text) {
  (void)png;
  (void)text;
}

static void write_bytes(png_structp png, png_bytep from, size_t count) {
  png_writer *writer = png_get_io_ptr(png);
  if (count > writer->capacity - writer->size) {
    size_t capacity = writer->capacity + writer->capacity / 2 + count + 4096;
    uint8_t *bytes = realloc(writer->bytes, capacity);
    if (!bytes) png_error(png, "out of memory");
    writer->bytes = bytes;
    writer->capacity = capacity;
  }
  memcpy(writer->bytes + writer->size, from, count);
  writer->size += count;
}

static void flush(png_structp png) { (void)png; }

static void set_texts(png_writer *writer, const cic_png_text *texts, size_t count) {
  if (count == 0) return;
  writer->texts = calloc(count, sizeof *writer->texts);
  if (!writer->texts) png_error(writer->png, "out of memory");
  for (size_t i = 0; i < count; i++) {
    png_text *text = &writer->texts[i];
    text->compression = texts[i].is_utf8 ? PNG_ITXT_COMPRESSION_NONE : PNG_TEXT_COMPRESSION_NONE;
    text->key = (char *)texts[i].keyword;
    text->text = (char *)texts[i].text;
    text->text_length = texts[i].is_utf8 ? 0 : texts[i].length;
    text->itxt_length = texts[i].is_utf8 ? texts[i].length : 0;
    text->lang = "";
    text->lang_key = "";
  }
  png_set_text(writer->png, writer->info, writer->texts, (int)count);
}

static void write_picture(png_writer *writer, const cic_png_picture *picture) {
  static const int color_types[] = {PNG_COLOR_TYPE_GRAY, PNG_COLOR_TYPE_GRAY_ALPHA, PNG_COLOR_TYPE_RGB,
                                    PNG_COLOR_TYPE_RGB_ALPHA};
  png_structp png = writer->png;
  if (picture->channels < 1 || picture->channels > 4) png_error(png, "a PNG has 1 to 4 channels");
  png_set_user_limits(png, 0x7fffffff, 0x7fffffff);
  png_set_compression_level(png, picture->compression_level);
  png_set_IHDR(png, writer->info, picture->width, picture->height, picture->bit_depth,
               color_types[picture->channels - 1], PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
               PNG_FILTER_TYPE_DEFAULT);
  png_write_info(png, writer->info);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  if (picture->bit_depth == 16) png_set_swap(png);
#endif
  const size_t row_bytes = (size_t)picture->width * (size_t)picture->channels * (size_t)(picture->bit_depth / 8);
  for (uint32_t y = 0; y < picture->height; y++) png_write_row(png, picture->pixels + y * row_bytes);
  png_write_end(png, NULL);
}

uint8_t *cic_png_encode(
    const cic_png_picture *picture, const cic_png_text *texts, size_t text_count, size_t *size, char *message) {
  png_writer *writer = calloc(1, sizeof *writer);
  if (!writer) {
    strcpy(message, "out of memory");
    return NULL;
  }
  writer->message = message;
  if (!setjmp(writer->recovery)) {
    writer->png = png_create_write_struct(PNG_LIBPNG_VER_STRING, writer, on_error, on_warning);
    if (writer->png) writer->info = png_create_info_struct(writer->png);
    if (!writer->png || !writer->info) {
      strcpy(message, "libpng could not start");
      longjmp(writer->recovery, 1);
    }
    png_set_write_fn(writer->png, writer, write_bytes, flush);
    set_texts(writer, texts, text_count);
    write_picture(writer, picture);
    *size = writer->size;
    writer->finished = 1;
  }
  uint8_t *bytes = writer->finished ? writer->bytes : NULL;
  if (!writer->finished) free(writer->bytes);
  if (writer->png) png_destroy_write_struct(&writer->png, writer->info ? &writer->info : NULL);
  free(writer->texts);
  free(writer);
  return bytes;
}
