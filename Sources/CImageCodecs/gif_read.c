// GIF decoding from memory: every frame as it is seen, on the canvas that the frames before it have left.
#include <gif_lib.h>
#include <stdlib.h>
#include <string.h>

#include "CImageCodecs.h"

struct cic_gif_reader {
  GifFileType *gif;
  const uint8_t *bytes;
  size_t size, position;
  uint8_t *canvas, *saved;  // RGB, what is seen now and what was seen before the last frame
  uint8_t *line;
  GifImageDesc last;  // where the last frame was put, without its colours
  int disposal;       // of the last frame; DISPOSAL_UNSPECIFIED before the first
};

static void tell(char *message, const char *text) {
  strncpy(message, text ? text : "giflib gave no reason", CIC_MESSAGE_SIZE - 1);
  message[CIC_MESSAGE_SIZE - 1] = 0;
}

static int read_bytes(GifFileType *gif, GifByteType *to, int count) {
  cic_gif_reader *reader = gif->UserData;
  size_t rest = reader->size - reader->position, taken = (size_t)count < rest ? (size_t)count : rest;
  memcpy(to, reader->bytes + reader->position, taken);
  reader->position += taken;
  return (int)taken;
}

cic_gif_reader *cic_gif_open(const uint8_t *bytes, size_t size, uint32_t *width, uint32_t *height, char *message) {
  cic_gif_reader *reader = calloc(1, sizeof *reader);
  if (!reader) {
    tell(message, "out of memory");
    return NULL;
  }
  reader->bytes = bytes;
  reader->size = size;
  int error = 0;
  reader->gif = DGifOpen(reader, read_bytes, &error);
  if (!reader->gif) {
    tell(message, GifErrorString(error));
    cic_gif_close(reader);
    return NULL;
  }
  if (reader->gif->SWidth < 1 || reader->gif->SHeight < 1) {
    tell(message, "the canvas is empty");
    cic_gif_close(reader);
    return NULL;
  }
  *width = (uint32_t)reader->gif->SWidth;
  *height = (uint32_t)reader->gif->SHeight;
  return reader;
}

// Takes the last frame away, where it is not to stay.
static void dispose(cic_gif_reader *reader) {
  const size_t width = (size_t)reader->gif->SWidth, height = (size_t)reader->gif->SHeight;
  if (reader->disposal == DISPOSE_PREVIOUS) memcpy(reader->canvas, reader->saved, 3 * width * height);
  if (reader->disposal != DISPOSE_BACKGROUND) return;
  for (int y = 0; y < reader->last.Height; y++) {
    uint8_t *row = reader->canvas + 3 * ((size_t)(reader->last.Top + y) * width + (size_t)reader->last.Left);
    memset(row, 0, 3 * (size_t)reader->last.Width);
  }
}

static int read_pixels(cic_gif_reader *reader, const GraphicsControlBlock *control, char *message) {
  static const int starts[] = {0, 4, 2, 1}, strides[] = {8, 8, 4, 2};
  GifFileType *gif = reader->gif;
  const GifImageDesc image = gif->Image;
  const ColorMapObject *colors = image.ColorMap ? image.ColorMap : gif->SColorMap;
  if (!colors) {
    tell(message, "a frame has no palette");
    return 0;
  }
  if (image.Left < 0 || image.Top < 0 || image.Width < 1 || image.Height < 1 ||
      image.Left + image.Width > gif->SWidth || image.Top + image.Height > gif->SHeight) {
    tell(message, "a frame reaches beyond the canvas");
    return 0;
  }
  if (control->DisposalMode == DISPOSE_PREVIOUS) {
    memcpy(reader->saved, reader->canvas, 3 * (size_t)gif->SWidth * (size_t)gif->SHeight);
  }
  for (int pass = image.Interlace ? 0 : 3; pass < 4; pass++) {
    const int start = image.Interlace ? starts[pass] : 0, stride = image.Interlace ? strides[pass] : 1;
    for (int y = start; y < image.Height; y += stride) {
      if (DGifGetLine(gif, reader->line, image.Width) != GIF_OK) {
        tell(message, GifErrorString(gif->Error));
        return 0;
      }
      uint8_t *row = reader->canvas + 3 * ((size_t)(image.Top + y) * (size_t)gif->SWidth + (size_t)image.Left);
      for (int x = 0; x < image.Width; x++, row += 3) {
        const int index = reader->line[x];
        if (index == control->TransparentColor) continue;
        if (index >= colors->ColorCount) {
          tell(message, "a pixel has a colour that the palette lacks");
          return 0;
        }
        const GifColorType color = colors->Colors[index];
        row[0] = color.Red;
        row[1] = color.Green;
        row[2] = color.Blue;
      }
    }
  }
  reader->last = image;
  reader->last.ColorMap = NULL;
  reader->disposal = control->DisposalMode;
  return 1;
}

static int read_extension(cic_gif_reader *reader, GraphicsControlBlock *control) {
  int code = 0;
  GifByteType *block = NULL;
  if (DGifGetExtension(reader->gif, &code, &block) != GIF_OK) return 0;
  while (block) {
    if (code == GRAPHICS_EXT_FUNC_CODE && block[0] >= 4) DGifExtensionToGCB(block[0], block + 1, control);
    if (DGifGetExtensionNext(reader->gif, &block) != GIF_OK) return 0;
  }
  return 1;
}

static int prepare(cic_gif_reader *reader, char *message) {
  if (reader->canvas) return 1;
  const size_t pixels = (size_t)reader->gif->SWidth * (size_t)reader->gif->SHeight;
  reader->canvas = calloc(pixels, 3);
  reader->saved = calloc(pixels, 3);
  reader->line = malloc((size_t)reader->gif->SWidth);
  if (reader->canvas && reader->saved && reader->line) return 1;
  tell(message, "out of memory");
  return 0;
}

const uint8_t *cic_gif_next(cic_gif_reader *reader, int *delay, int *at_end, char *message) {
  GraphicsControlBlock control = {DISPOSAL_UNSPECIFIED, false, 0, NO_TRANSPARENT_COLOR};
  *at_end = 0;
  if (!prepare(reader, message)) return NULL;
  for (;;) {
    GifRecordType type;
    if (DGifGetRecordType(reader->gif, &type) != GIF_OK) break;
    if (type == TERMINATE_RECORD_TYPE) {
      *at_end = 1;
      return NULL;
    }
    if (type == EXTENSION_RECORD_TYPE && !read_extension(reader, &control)) break;
    if (type != IMAGE_DESC_RECORD_TYPE) continue;
    if (DGifGetImageDesc(reader->gif) != GIF_OK) break;
    dispose(reader);
    if (!read_pixels(reader, &control, message)) return NULL;
    *delay = control.DelayTime;
    return reader->canvas;
  }
  tell(message, GifErrorString(reader->gif->Error));
  return NULL;
}

void cic_gif_close(cic_gif_reader *reader) {
  if (reader->gif) DGifCloseFile(reader->gif, NULL);
  free(reader->canvas);
  free(reader->saved);
  free(reader->line);
  free(reader);
}
