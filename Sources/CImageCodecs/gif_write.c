// GIF encoding into memory, frame by frame, each with the 256 colours that suit it best (median cut).
#include <gif_lib.h>
#include <stdlib.h>
#include <string.h>

#include "CImageCodecs.h"

struct cic_gif_writer {
  GifFileType *gif;
  int width, height;
  uint8_t *bytes;
  size_t size, capacity;
  int out_of_memory;
  uint8_t *planes;  // red, green, blue and indices of one frame
  GifColorType palette[256];
};

static void tell(char *message, const char *text) {
  strncpy(message, text ? text : "giflib gave no reason", CIC_MESSAGE_SIZE - 1);
  message[CIC_MESSAGE_SIZE - 1] = 0;
}

static int write_bytes(GifFileType *gif, const GifByteType *from, int count) {
  cic_gif_writer *writer = gif->UserData;
  if ((size_t)count > writer->capacity - writer->size) {
    size_t capacity = writer->capacity + writer->capacity / 2 + (size_t)count + 4096;
    uint8_t *bytes = realloc(writer->bytes, capacity);
    if (!bytes) {
      writer->out_of_memory = 1;
      return 0;
    }
    writer->bytes = bytes;
    writer->capacity = capacity;
  }
  memcpy(writer->bytes + writer->size, from, (size_t)count);
  writer->size += (size_t)count;
  return count;
}

static int fail(cic_gif_writer *writer, char *message) {
  tell(message, writer->out_of_memory ? "out of memory" : GifErrorString(writer->gif->Error));
  return 0;
}

// Shown again and again: an extension that browsers took over from Netscape.
static int write_beginning(cic_gif_writer *writer, const char *comment) {
  static const uint8_t endless[3] = {1, 0, 0};
  GifFileType *gif = writer->gif;
  EGifSetGifVersion(gif, true);
  if (EGifPutScreenDesc(gif, writer->width, writer->height, 8, 0, NULL) != GIF_OK) return 0;
  if (EGifPutExtensionLeader(gif, APPLICATION_EXT_FUNC_CODE) != GIF_OK ||
      EGifPutExtensionBlock(gif, 11, "NETSCAPE2.0") != GIF_OK || EGifPutExtensionBlock(gif, 3, endless) != GIF_OK ||
      EGifPutExtensionTrailer(gif) != GIF_OK) {
    return 0;
  }
  return !comment || EGifPutComment(gif, comment) == GIF_OK;
}

cic_gif_writer *cic_gif_create(uint32_t width, uint32_t height, const char *comment, char *message) {
  if (width < 1 || height < 1 || width > 65535 || height > 65535) {
    tell(message, "a GIF has 1 to 65535 pixels along each side");
    return NULL;
  }
  cic_gif_writer *writer = calloc(1, sizeof *writer);
  if (writer) writer->planes = malloc(4 * (size_t)width * height);
  if (!writer || !writer->planes) {
    free(writer);
    tell(message, "out of memory");
    return NULL;
  }
  writer->width = (int)width;
  writer->height = (int)height;
  int error = 0;
  writer->gif = EGifOpen(writer, write_bytes, &error);
  if (!writer->gif) {
    tell(message, GifErrorString(error));
  } else if (write_beginning(writer, comment)) {
    return writer;
  } else {
    fail(writer, message);
  }
  cic_gif_discard(writer);
  return NULL;
}

// giflib looks at the upper five bits of a colour only: each entry becomes the mean of the pixels that it stands for.
static void sharpen(cic_gif_writer *writer, const uint8_t *rgb, const uint8_t *indices, size_t pixels) {
  uint64_t sums[256][4] = {{0}};
  for (size_t i = 0; i < pixels; i++) {
    uint64_t *sum = sums[indices[i]];
    for (int c = 0; c < 3; c++) sum[c] += rgb[3 * i + (size_t)c];
    sum[3]++;
  }
  for (int i = 0; i < 256; i++) {
    const uint64_t count = sums[i][3];
    if (count == 0) continue;
    writer->palette[i] = (GifColorType){(uint8_t)((sums[i][0] + count / 2) / count),
                                        (uint8_t)((sums[i][1] + count / 2) / count),
                                        (uint8_t)((sums[i][2] + count / 2) / count)};
  }
}

int cic_gif_add(cic_gif_writer *writer, const uint8_t *rgb, int delay, char *message) {
  const size_t pixels = (size_t)writer->width * (size_t)writer->height;
  uint8_t *red = writer->planes, *green = red + pixels, *blue = green + pixels, *indices = blue + pixels;
  for (size_t i = 0; i < pixels; i++) {
    red[i] = rgb[3 * i];
    green[i] = rgb[3 * i + 1];
    blue[i] = rgb[3 * i + 2];
  }
  int colors = 256;
  memset(writer->palette, 0, sizeof writer->palette);
  if (GifQuantizeBuffer((unsigned)writer->width, (unsigned)writer->height, &colors, red, green, blue, indices,
                        writer->palette) != GIF_OK) {
    tell(message, "out of memory");
    return 0;
  }
  sharpen(writer, rgb, indices, pixels);
  ColorMapObject *palette = GifMakeMapObject(256, writer->palette);
  if (!palette) {
    tell(message, "out of memory");
    return 0;
  }
  const GraphicsControlBlock control = {DISPOSE_DO_NOT, false, delay, NO_TRANSPARENT_COLOR};
  GifByteType extension[4];
  EGifGCBToExtension(&control, extension);
  int ok = EGifPutExtension(writer->gif, GRAPHICS_EXT_FUNC_CODE, 4, extension) == GIF_OK &&
           EGifPutImageDesc(writer->gif, 0, 0, writer->width, writer->height, false, palette) == GIF_OK;
  for (int y = 0; ok && y < writer->height; y++) {
    ok = EGifPutLine(writer->gif, indices + (size_t)y * (size_t)writer->width, writer->width) == GIF_OK;
  }
  GifFreeMapObject(palette);
  return ok ? 1 : fail(writer, message);
}

uint8_t *cic_gif_finish(cic_gif_writer *writer, size_t *size, char *message) {
  int error = 0;
  const int closed = EGifCloseFile(writer->gif, &error) == GIF_OK && !writer->out_of_memory;
  writer->gif = NULL;
  uint8_t *bytes = NULL;
  if (closed) {
    bytes = writer->bytes;
    *size = writer->size;
    writer->bytes = NULL;
  } else {
    tell(message, writer->out_of_memory ? "out of memory" : GifErrorString(error));
  }
  cic_gif_discard(writer);
  return bytes;
}

void cic_gif_discard(cic_gif_writer *writer) {
  if (writer->gif) EGifCloseFile(writer->gif, NULL);
  free(writer->bytes);
  free(writer->planes);
  free(writer);
}
