// HDF5's names that are macros over functions and variables, as functions.
#pragma once
#include <hdf5.h>

static inline hid_t chdf5_native_u8(void) { return H5T_NATIVE_UINT8; }
static inline hid_t chdf5_native_u16(void) { return H5T_NATIVE_UINT16; }
static inline hid_t chdf5_file_access(void) { return H5P_FILE_ACCESS; }
// Errors are told by the functions' results; the library would print them.
static inline void chdf5_be_silent(void) { H5Eset_auto2(H5E_DEFAULT, NULL, NULL); }
static inline herr_t chdf5_dereference(hid_t file, const hobj_ref_t *reference, hid_t *object) {
  hid_t found = H5Rdereference2(file, H5P_DEFAULT, H5R_OBJECT, reference);
  *object = found;
  return found < 0 ? -1 : 0;
}
static inline herr_t chdf5_read_references(hid_t dataset, hobj_ref_t *into) {
  return H5Dread(dataset, H5T_STD_REF_OBJ, H5S_ALL, H5S_ALL, H5P_DEFAULT, into);
}
static inline herr_t chdf5_read(hid_t dataset, hid_t type, void *into) {
  return H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, into);
}
static inline int chdf5_holds_references(hid_t dataset) {
  hid_t type = H5Dget_type(dataset);
  if (type < 0) return 0;
  const int is_reference = H5Tequal(type, H5T_STD_REF_OBJ) > 0;
  H5Tclose(type);
  return is_reference;
}
// Integers of 8 or 16 bits without padding: what MATLAB writes, and what needs no conversion by the library but of byte order.
static inline int chdf5_holds_integers(hid_t dataset) {
  hid_t type = H5Dget_type(dataset);
  if (type < 0) return 0;
  const size_t size = H5Tget_size(type);
  const int is_plain = H5Tget_class(type) == H5T_INTEGER && (size == 1 || size == 2) &&
                       H5Tget_precision(type) == 8 * size && H5Tget_offset(type) == 0;
  H5Tclose(type);
  return is_plain;
}
// Whether a link leads to an object of this very file.
static inline int chdf5_is_hard(hid_t file, const char *path) {
  H5L_info_t info;
  return H5Lget_info(file, path, &info, H5P_DEFAULT) >= 0 && info.type == H5L_TYPE_HARD;
}
// Whether the bytes of a dataset can be where the file says, and come through filters that MATLAB uses. The library trusts
// the file in this, reads beyond its own memory where it is wrong, and opens other files that the file names.
static inline int chdf5_is_sound(hid_t dataset, unsigned long long bytes, unsigned long long file_bytes) {
  hid_t made = H5Dget_create_plist(dataset);
  if (made < 0) return 0;
  int is_sound = H5Pget_external_count(made) == 0;
  const H5D_layout_t layout = H5Pget_layout(made);
  if (layout == H5D_COMPACT) {
    is_sound = is_sound && H5Dget_storage_size(dataset) == bytes;
  } else if (layout == H5D_CONTIGUOUS) {
    const haddr_t address = H5Dget_offset(dataset);
    is_sound = is_sound && H5Dget_storage_size(dataset) == bytes && address != HADDR_UNDEF && address <= file_bytes &&
               bytes <= file_bytes - address;
  } else if (layout == H5D_CHUNKED) {
    hsize_t extents[8];
    const int rank = H5Pget_chunk(made, 8, extents);
    is_sound = is_sound && rank > 0 && rank <= 8;
    double elements = 1;
    for (int axis = 0; is_sound && axis < rank; axis++) elements *= (double)extents[axis];
    is_sound = is_sound && elements >= 1 && elements <= 0x1p28;
    const int filters = is_sound ? H5Pget_nfilters(made) : 0;
    for (int index = 0; index < filters; index++) {
      unsigned flags, configuration;
      size_t values = 0;
      const H5Z_filter_t filter =
          H5Pget_filter2(made, (unsigned)index, &flags, &values, NULL, 0, NULL, &configuration);
      is_sound = is_sound && (filter == H5Z_FILTER_DEFLATE || filter == H5Z_FILTER_SHUFFLE || filter == H5Z_FILTER_FLETCHER32);
    }
  } else {
    is_sound = 0;
  }
  H5Pclose(made);
  return is_sound;
}
