// Package simdisk is a disk in memory that behaves as badly as a real one may, by a seed.
//
// It remembers what was synced. A crash keeps that and decides for everything else, piece by piece,
// whether it reached the disk: writes may be there, not there, cut short, or there in some of their
// sectors of 512 bytes and in no order; names may have come or not. Any call can be made to fail or
// to be the last one before the crash; bits can be flipped; space can run out. A failed sync loses
// what it was to sync, as Linux does, and the next one says that all is well.
//
// One Disk serves segments (Shards) and Pebble (Pebble) with one tree of files, so that they crash
// together. It is for tests only.
package simdisk
