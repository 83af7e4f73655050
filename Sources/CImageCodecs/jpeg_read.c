// JPEG decoding from memory. libjpeg's error handler jumps to the setjmp of the entry point that called it.
#include <setjmp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>

#include "CImageCodecs.h"

// A progressive file may repeat scans over the whole picture without end; real encoders write some ten.
enum { MAX_SCANS = 500 };

struct cic_jpeg_reader {
  struct jpeg_decompress_struct cinfo;
  struct jpeg_error_mgr errors;
  struct jpeg_source_mgr source;
  struct jpeg_progress_mgr progress;
  uint8_t *cmyk_row;
  jmp_buf recovery;
  char *message;
};

static void fail(cic_jpeg_reader *reader, const char *text) {
  strncpy(reader->message, text, CIC_MESSAGE_SIZE - 1);
  reader->message[CIC_MESSAGE_SIZE - 1] = 0;
  longjmp(reader->recovery, 1);
}

static void on_error(j_common_ptr cinfo) {
  cic_jpeg_reader *reader = cinfo->client_data;
  char text[JMSG_LENGTH_MAX];
  cinfo->err->format_message(cinfo, text);
  fail(reader, text);
}

// libjpeg invents pixels for damaged data and only warns; those warnings are errors here.
static void on_message(j_common_ptr cinfo, int level) {
  if (level >= 0) return;
  switch (cinfo->err->msg_code) {
    case JWRN_ARITH_BAD_CODE:
    case JWRN_HIT_MARKER:
    case JWRN_HUFF_BAD_CODE:
    case JWRN_JPEG_EOF:
    case JWRN_MUST_RESYNC:
      on_error(cinfo);
  }
}

static void on_output(j_common_ptr cinfo) { (void)cinfo; }

static void on_progress(j_common_ptr cinfo) {
  if (((j_decompress_ptr)cinfo)->input_scan_number > MAX_SCANS) fail(cinfo->client_data, "too many scans");
}

static void start_source(j_decompress_ptr cinfo) { (void)cinfo; }

static boolean refill(j_decompress_ptr cinfo) {
  fail(cinfo->client_data, "the file ends too early");
  return FALSE;
}

static void skip(j_decompress_ptr cinfo, long count) {
  if (count <= 0) return;
  if ((size_t)count > cinfo->src->bytes_in_buffer) fail(cinfo->client_data, "the file ends too early");
  cinfo->src->next_input_byte += count;
  cinfo->src->bytes_in_buffer -= (size_t)count;
}

static void end_source(j_decompress_ptr cinfo) { (void)cinfo; }

static void connect(cic_jpeg_reader *reader, const uint8_t *bytes, size_t size) {
  reader->cinfo.err = jpeg_std_error(&reader->errors);
  reader->errors.error_exit = on_error;
  reader->errors.emit_message = on_message;
  reader->errors.output_message = on_output;
  reader->cinfo.client_data = reader;
  reader->source = (struct jpeg_source_mgr){
      .next_input_byte = bytes,
      .bytes_in_buffer = size,
      .init_source = start_source,
      .fill_input_buffer = refill,
      .skip_input_data = skip,
      .resync_to_restart = jpeg_resync_to_restart,
      .term_source = end_source,
  };
  reader->progress.progress_monitor = on_progress;
}

// Grey stays grey, everything else becomes RGB; CMYK and YCCK arrive as CMYK and are converted row by row.
static void choose_output(cic_jpeg_reader *reader, cic_jpeg_info *info) {
  j_decompress_ptr cinfo = &reader->cinfo;
  switch (cinfo->jpeg_color_space) {
    case JCS_GRAYSCALE: cinfo->out_color_space = JCS_GRAYSCALE; break;
    case JCS_RGB:
    case JCS_YCbCr: cinfo->out_color_space = JCS_RGB; break;
    case JCS_CMYK:
    case JCS_YCCK: cinfo->out_color_space = JCS_CMYK; break;
    default: fail(reader, "an unknown colour space");
  }
  info->width = cinfo->image_width;
  info->height = cinfo->image_height;
  info->channels = cinfo->out_color_space == JCS_GRAYSCALE ? 1 : 3;
  info->arithmetic_coding = cinfo->arith_code;
}

cic_jpeg_reader *cic_jpeg_open(const uint8_t *bytes, size_t size, cic_jpeg_info *info, char *message) {
  cic_jpeg_reader *reader = calloc(1, sizeof *reader);
  if (!reader) {
    strcpy(message, "out of memory");
    return NULL;
  }
  reader->message = message;
  if (setjmp(reader->recovery)) {
    cic_jpeg_close(reader);
    return NULL;
  }
  connect(reader, bytes, size);
  jpeg_create_decompress(&reader->cinfo);
  reader->cinfo.src = &reader->source;
  reader->cinfo.progress = &reader->progress;
  jpeg_save_markers(&reader->cinfo, JPEG_APP0 + 1, 0xffff);
  jpeg_read_header(&reader->cinfo, TRUE);
  choose_output(reader, info);
  return reader;
}

// a * b / 255, rounded: Pillow's MULDIV255.
static inline int scaled(int a, int b) {
  const int product = a * b + 128;
  return ((product >> 8) + product) >> 8;
}

// As Pillow: the stored values are taken as inverted (Adobe's convention), and RGB = (255 - K) (255 - ink) / 255.
static void cmyk_to_rgb(const uint8_t *stored, uint8_t *rgb, size_t width) {
  for (size_t x = 0; x < width; x++, stored += 4, rgb += 3) {
    const int light = stored[3];
    for (int c = 0; c < 3; c++) rgb[c] = (uint8_t)(light - scaled(255 - stored[c], light));
  }
}

static void decode_rows(cic_jpeg_reader *reader, uint8_t *pixels, size_t capacity) {
  j_decompress_ptr cinfo = &reader->cinfo;
  jpeg_start_decompress(cinfo);
  const int is_cmyk = cinfo->out_color_space == JCS_CMYK;
  const size_t width = cinfo->output_width;
  const size_t row_bytes = width * (cinfo->out_color_space == JCS_GRAYSCALE ? 1 : 3);
  if (row_bytes == 0 || cinfo->output_height > capacity / row_bytes) {
    fail(reader, "the buffer is too small for the picture");
  }
  if (is_cmyk && !(reader->cmyk_row = malloc(width * 4))) fail(reader, "out of memory");
  while (cinfo->output_scanline < cinfo->output_height) {
    uint8_t *row = pixels + cinfo->output_scanline * row_bytes;
    JSAMPROW target = is_cmyk ? reader->cmyk_row : row;
    jpeg_read_scanlines(cinfo, &target, 1);
    if (is_cmyk) cmyk_to_rgb(target, row, width);
  }
  jpeg_finish_decompress(cinfo);
}

int cic_jpeg_decode(cic_jpeg_reader *reader, uint8_t *pixels, size_t capacity, char *message) {
  reader->message = message;
  if (setjmp(reader->recovery)) return 0;
  decode_rows(reader, pixels, capacity);
  return 1;
}

const uint8_t *cic_jpeg_exif(cic_jpeg_reader *reader, size_t *size) {
  static const uint8_t signature[6] = {'E', 'x', 'i', 'f', 0, 0};
  for (jpeg_saved_marker_ptr marker = reader->cinfo.marker_list; marker; marker = marker->next) {
    if (marker->data_length > sizeof signature && memcmp(marker->data, signature, sizeof signature) == 0) {
      *size = marker->data_length - sizeof signature;
      return marker->data + sizeof signature;
    }
  }
  *size = 0;
  return NULL;
}

void cic_jpeg_close(cic_jpeg_reader *reader) {
  jpeg_destroy_decompress(&reader->cinfo);
  free(reader->cmyk_row);
  free(reader);
}
