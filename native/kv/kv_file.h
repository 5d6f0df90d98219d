// The prefix tree of a KV cache on disk: whoever saved it goes on from there after a restart. Integers and pages lie as
// in memory: the file is for this machine and this build.
//
//   head    magic, version, identity (of model, shapes, format and backend), number of pages, checksum of these
//   page    index of its parent, or -1; number of tokens; forms that are there, as bits; tokens; the forms' bytes;
//           checksum of these and of all before
// Parents come before their children. Nothing of a file is used before all of its checksums were found right.
#pragma once

#include <string>

#include "kv/kv_cache.h"

namespace outpost {

/// Writes every page of the tree, without forms that are only spare.
/// @param identity of whoever computed the pages: equal only if the same tokens would give the same bits
/// @throws EngineError kFileUnreadable; kModelUnsupported if the storage's pages cannot be read
CacheFile save_kv(KvCache& cache, uint64_t identity, const std::string& path);

/// Adds the file's pages to the tree while there is room, also where the device has less than the cache may take.
/// @throws EngineError kFileNotFound, kFileUnreadable, kInvalidArgument; kDeviceLost, and kModelUnsupported if the
/// storage's pages cannot be written: pages that are in the tree then are whole
CacheFile restore_kv(KvCache& cache, uint64_t identity, const std::string& path);

}  // namespace outpost
