// JPEG encoding into memory.
#include <setjmp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include "CImageCodecs.h"

typedef struct jpeg_writer {
  struct jpeg_compress_struct cinfo;
  struct jpeg_error_mgr errors;
  unsigned char *bytes;
  unsigned long size;
  jmp_buf recovery;
  char *message;
} jpeg_writer;

static void on_error(j_common_ptr cinfo) {
  jpeg_writer *writer = cinfo->client_data;
  char text[JMSG_LENGTH_MAX];
  cinfo->err->format_message(cinfo, text);
  strncpy(writer->message, text, CIC_MESSAGE_SIZE - 1);
  writer->message[CIC_MESSAGE_SIZE - 1] = 0;
  longjmp(writer->recovery, 1);
}

static void on_output(j_common_ptr cinfo) { (void)cinfo; }

static void write_picture(jpeg_writer *writer, const uint8_t *rgb, uint32_t width, uint32_t height, int quality) {
  j_compress_ptr cinfo = &writer->cinfo;
  jpeg_mem_dest(cinfo, &writer->bytes, &writer->size);
  cinfo->image_width = width;
  cinfo->image_height = height;
  cinfo->input_components = 3;
  cinfo->in_color_space = JCS_RGB;
  jpeg_set_defaults(cinfo);
  jpeg_set_quality(cinfo, quality, TRUE);
  jpeg_start_compress(cinfo, TRUE);
  while (cinfo->next_scanline < cinfo->image_height) {
    JSAMPROW row = (JSAMPROW)(rgb + (size_t)cinfo->next_scanline * width * 3);
    jpeg_write_scanlines(cinfo, &row, 1);
  }
  jpeg_finish_compress(cinfo);
}

uint8_t *cic_jpeg_encode(
    const uint8_t *rgb, uint32_t width, uint32_t height, int quality, size_t *size, char *message) {
  jpeg_writer *writer = calloc(1, sizeof *writer);
  if (!writer) {
    strcpy(message, "out of memory");
    return NULL;
  }
  writer->message = message;
  writer->cinfo.err = jpeg_std_error(&writer->errors);
  writer->errors.error_exit = on_error;
  writer->errors.output_message = on_output;
  writer->cinfo.client_data = writer;
  uint8_t *volatile bytes = NULL;
  if (!setjmp(writer->recovery)) {
    jpeg_create_compress(&writer->cinfo);
    write_picture(writer, rgb, width, height, quality);
    bytes = writer->bytes;
    *size = writer->size;
  }
  jpeg_destroy_compress(&writer->cinfo);
  if (!bytes) free(writer->bytes);
  free(writer);
  return bytes;
}
