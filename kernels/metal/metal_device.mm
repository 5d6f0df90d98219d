// metal_device.h with Apple's Metal. What decides anything is in metal_runtime.cpp: here every function is a few of
// Metal's. Compiled with ARC.
#import <Foundation/Foundation.h>
#import <Metal/Metal.h>

#include <unistd.h>

#include <cstring>
#include <map>
#include <memory>
#include <mutex>

#include "kernels/metal/metal_device.h"

// kernels.metal, compiled (metallib.cpp.in).
extern "C" const std::byte outpost_metallib[];
extern "C" const std::byte outpost_metallib_end[];

namespace outpost::metal {
namespace {

/// Of a queue, that are not done yet. With the 64 that Metal takes by itself, begin_list waited for the GPU sooner.
constexpr NSUInteger kMostLists = 1024;

std::string text_of(NSError* error) {
  return error == nil ? "Metal says no more" : error.localizedDescription.UTF8String;
}

struct NativeBuffer : Buffer {
  id<MTLBuffer> native;
};
id<MTLBuffer> native(const Buffer& buffer) { return static_cast<const NativeBuffer&>(buffer).native; }

/// Null if Metal has made none.
Buffer* buffer_of(id<MTLBuffer> made, size_t n_bytes) {
  if (made == nil) return nullptr;
  auto* buffer = new NativeBuffer;
  buffer->contents = static_cast<std::byte*>(made.contents);
  buffer->address = made.gpuAddress;
  buffer->n_bytes = n_bytes;
  buffer->native = made;
  return buffer;
}

struct NativePipeline : Pipeline {
  id<MTLComputePipelineState> native;
};

/// The GPU, its kernels by name, and the pipelines made of them so far.
struct Device {
  id<MTLDevice> gpu;
  DeviceInfo info;
  id<MTLLibrary> library;
  std::string reason;  // why there is no GPU, or no library
  // Of the library: Metal may call a function of a namespace by its whole name, and its last part is ours.
  std::map<std::string, NSString*> functions;
  std::mutex mutex;
  std::map<std::string, std::unique_ptr<NativePipeline>> pipelines;
  id<MTLBuffer> nothing;  // bound where a kernel looks at no array: none may be missing

  Device() {
    @autoreleasepool {
      gpu = MTLCreateSystemDefaultDevice();
      if (gpu == nil) {
        reason = "Metal finds no GPU";
        return;
      }
      info.name = gpu.name.UTF8String;
      info.n_bytes = gpu.recommendedMaxWorkingSetSize;
      info.n_most_bytes = gpu.maxBufferLength;
      info.n_page_bytes = static_cast<size_t>(getpagesize());
      info.is_usable = [gpu supportsFamily:MTLGPUFamilyMetal3] && [gpu supportsFamily:MTLGPUFamilyApple7];
      if (!info.is_usable) return;
      const auto n_code_bytes = static_cast<size_t>(outpost_metallib_end - outpost_metallib);
      dispatch_data_t code =
          dispatch_data_create(outpost_metallib, n_code_bytes, nil, DISPATCH_DATA_DESTRUCTOR_DEFAULT);
      NSError* error = nil;
      library = [gpu newLibraryWithData:code error:&error];
      nothing = [gpu newBufferWithLength:256 options:MTLResourceStorageModeShared];
      if (library == nil || nothing == nil) {
        reason = "Metal does not take the kernels of this build: " + text_of(error);
        return;
      }
      for (NSString* name in library.functionNames) {
        const std::string whole = name.UTF8String;
        const size_t colon = whole.rfind(':');
        functions[colon == std::string::npos ? whole : whole.substr(colon + 1)] = name;
      }
    }
  }
};

Device& device() {
  static Device& instance = *new Device;  // for threads that are there when the process ends
  return instance;
}

}  // namespace

const DeviceInfo* device_info(std::string& reason) {
  Device& d = device();
  reason = d.reason;
  return d.reason.empty() ? &d.info : nullptr;
}

size_t bytes_in_use() { return device().gpu.currentAllocatedSize; }

// ---- memory

Buffer* create_buffer(size_t n_bytes, bool) {
  @autoreleasepool {
    return buffer_of([device().gpu newBufferWithLength:n_bytes options:MTLResourceStorageModeShared], n_bytes);
  }
}

Buffer* lend_pages(const std::byte* pages, size_t n_bytes, size_t, size_t) {
  @autoreleasepool {
    return buffer_of([device().gpu newBufferWithBytesNoCopy:const_cast<std::byte*>(pages)
                                                     length:n_bytes
                                                    options:MTLResourceStorageModeShared
                                                deallocator:nil],
                     n_bytes);
  }
}

void destroy_buffer(Buffer* buffer) { delete static_cast<NativeBuffer*>(buffer); }

void write(Buffer& buffer, size_t offset, const void* from, size_t n_bytes) {
  std::memmove(buffer.contents + offset, from, n_bytes);
}

void fill(Buffer& buffer, size_t offset, uint8_t byte, size_t n_bytes) {
  std::memset(buffer.contents + offset, byte, n_bytes);
}

// ---- kernels

const Pipeline* find_pipeline(const std::string& name, std::string& reason) {
  @autoreleasepool {
    Device& d = device();
    const std::lock_guard lock(d.mutex);
    std::unique_ptr<NativePipeline>& pipeline = d.pipelines[name];
    if (pipeline != nullptr) return pipeline.get();
    const auto known = d.functions.find(name);
    if (known == d.functions.end()) {
      reason = "the kernels of this build lack it";
      return nullptr;
    }
    NSError* error = nil;
    id<MTLFunction> function = [d.library newFunctionWithName:known->second];
    id<MTLComputePipelineState> made = nil;
    if (function != nil) made = [d.gpu newComputePipelineStateWithFunction:function error:&error];
    if (made == nil) {
      reason = text_of(error);
      return nullptr;
    }
    if (made.threadExecutionWidth != 32) {
      reason = "the GPU's simdgroups do not have 32 lanes";
      return nullptr;
    }
    pipeline = std::make_unique<NativePipeline>();
    pipeline->native = made;
    pipeline->n_most_threads = static_cast<int32_t>(made.maxTotalThreadsPerThreadgroup);
    return pipeline.get();
  }
}

// ---- work

struct Queue {
  id<MTLCommandQueue> native;
};

/// Dispatches and copies take encoders of different kinds, of which one is open at a time.
struct CommandList {
  id<MTLCommandBuffer> native;
  id<MTLComputeCommandEncoder> compute;
  id<MTLBlitCommandEncoder> blit;
  std::vector<id<MTLBuffer>> used;
  bool has_failed = false;  // Metal made no encoder, and nil takes any message

  void end_encoder() {
    [compute endEncoding];
    [blit endEncoding];
    compute = nil;
    blit = nil;
  }
  id<MTLComputeCommandEncoder> computing() {
    if (compute == nil) {
      end_encoder();
      compute = [native computeCommandEncoderWithDispatchType:MTLDispatchTypeSerial];
      has_failed |= compute == nil;
      for (id<MTLBuffer> buffer : used) use(buffer);
    }
    return compute;
  }
  id<MTLBlitCommandEncoder> copying() {
    if (blit == nil) {
      end_encoder();
      blit = [native blitCommandEncoder];
      has_failed |= blit == nil;
    }
    return blit;
  }
  void use(id<MTLBuffer> buffer) { [compute useResource:buffer usage:MTLResourceUsageRead | MTLResourceUsageWrite]; }
};

Queue* create_queue(std::string& reason) {
  @autoreleasepool {
    id<MTLCommandQueue> made = [device().gpu newCommandQueueWithMaxCommandBufferCount:kMostLists];
    if (made == nil) reason = "Metal makes no queue";
    return made == nil ? nullptr : new Queue{made};
  }
}

void destroy_queue(Queue* queue) { delete queue; }

CommandList* begin_list(Queue& queue, std::string& reason) {
  @autoreleasepool {
    id<MTLCommandBuffer> made = [queue.native commandBuffer];
    if (made == nil) reason = "Metal makes no list of commands";
    return made == nil ? nullptr : new CommandList{made, nil, nil, {}, false};
  }
}

void use(CommandList& list, const Buffer& buffer) {
  @autoreleasepool {
    list.used.push_back(native(buffer));
    if (list.compute != nil) list.use(native(buffer));
  }
}

void dispatch(CommandList& list, const Dispatch& work) {
  @autoreleasepool {
    id<MTLComputeCommandEncoder> encoder = list.computing();
    [encoder setComputePipelineState:static_cast<const NativePipeline*>(work.pipeline)->native];
    NSUInteger i = 0;
    for (const Argument& a : work.arguments) {
      if (a.n_bytes > 0) {
        [encoder setBytes:work.bytes.data() + a.offset length:a.n_bytes atIndex:i];
      } else {
        [encoder setBuffer:a.buffer != nullptr ? native(*a.buffer) : device().nothing offset:a.offset atIndex:i];
      }
      ++i;
    }
    [encoder dispatchThreadgroups:MTLSizeMake(work.n_groups[0], work.n_groups[1], work.n_groups[2])
            threadsPerThreadgroup:MTLSizeMake(work.n_threads, 1, 1)];
  }
}

void copy(CommandList& list, Buffer& to, size_t to_offset, const Buffer& from, size_t from_offset, size_t n_bytes) {
  @autoreleasepool {
    [list.copying() copyFromBuffer:native(from)
                      sourceOffset:from_offset
                          toBuffer:native(to)
                 destinationOffset:to_offset
                              size:n_bytes];
  }
}

void fill(CommandList& list, Buffer& buffer, size_t offset, uint8_t byte, size_t n_bytes) {
  @autoreleasepool {
    [list.copying() fillBuffer:native(buffer) range:NSMakeRange(offset, n_bytes) value:byte];
  }
}

void commit(CommandList& list) {
  @autoreleasepool {
    list.end_encoder();
    [list.native commit];
    // What is encoded, Metal keeps until it is done. Whoever waits for a list must not keep the memory that it used.
    list.used.clear();
  }
}

Outcome wait(CommandList& list, std::string& reason) {
  @autoreleasepool {
    [list.native waitUntilCompleted];
    if (list.has_failed) {
      reason = "Metal makes no encoder of commands";
      return Outcome::kFailed;
    }
    if (list.native.status == MTLCommandBufferStatusCompleted) return Outcome::kDone;
    reason = text_of(list.native.error);
    const bool is_out_of_memory = [list.native.error.domain isEqualToString:MTLCommandBufferErrorDomain] &&
                                  list.native.error.code == MTLCommandBufferErrorOutOfMemory;
    return is_out_of_memory ? Outcome::kOutOfMemory : Outcome::kFailed;
  }
}

void destroy_list(CommandList* list) {
  @autoreleasepool {
    list->end_encoder();  // of one that was never committed
    delete list;
  }
}

}  // namespace outpost::metal
