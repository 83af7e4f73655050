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
static inline int chdf5_holds_integers(hid_t dataset) {
  hid_t type = H5Dget_type(dataset);
  if (type < 0) return 0;
  const int is_integer = H5Tget_class(type) == H5T_INTEGER;
  H5Tclose(type);
  return is_integer;
}
