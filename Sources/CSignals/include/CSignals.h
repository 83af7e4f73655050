// What has to be known when a signal ends the program: which file a lost page belonged to, and which half-written files
// must go. In C, because a signal handler may neither allocate nor take locks, and Swift promises neither.
#pragma once
#include <stddef.h>

// Remembers where a file is mapped. Returns a number to forget it by; 0 when memory is exhausted.
size_t cs_mapping_add(const void *base, size_t size, const char *path);
void cs_mapping_remove(size_t mapping);

// Remembers a file that is to be removed should the program end before the file has got its name. As above.
size_t cs_temporary_add(const char *path);
void cs_temporary_remove(size_t temporary);
// Removes the files. May be called from a signal handler.
void cs_remove_temporaries(void);

// Gives files their names, one right after the other: nothing else is done in between, so that a program that is killed
// meets the moment hardly ever. Returns how many were renamed; errno tells why not all.
size_t cs_rename_all(char *const *from, char *const *to, size_t count);

// Starts writing a file's bytes to the disk, without waiting. Renaming a file over another does that first on ext4, which
// takes a thousand times as long as the renaming.
void cs_start_writing(int descriptor);

// From now on a page of a mapped file that the disk no longer has (the file was truncated, the disk or the network went)
// ends the program with one message that names the file, and this exit code; half-written files are removed. A bus
// error elsewhere ends the program as it would have.
void cs_exit_on_lost_pages(int exit_code);
