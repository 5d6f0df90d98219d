// Not Apple's: what metal_device.mm uses of Foundation and libdispatch, declared as Apple documents it, for clang to
// check that file on any machine. Nothing here is ever run.
#pragma once

#include <cstddef>
#include <cstdint>

#define nil nullptr
typedef signed char BOOL;
typedef long NSInteger;
typedef unsigned long NSUInteger;

typedef struct {
  NSUInteger location, length;
} NSRange;
NSRange NSMakeRange(NSUInteger location, NSUInteger length);

@class NSString;

@protocol NSObject
@end
__attribute__((objc_root_class))
@interface NSObject<NSObject>
@end

@interface NSString : NSObject
@property(readonly) const char* UTF8String;
- (BOOL)isEqualToString:(NSString*)other;
@end

typedef struct {
  unsigned long state;
  __unsafe_unretained id* itemsPtr;
  unsigned long* mutationsPtr;
  unsigned long extra[5];
} NSFastEnumerationState;

@interface NSArray<Element> : NSObject
- (NSUInteger)countByEnumeratingWithState:(NSFastEnumerationState*)state
                                  objects:(__unsafe_unretained id[])objects
                                    count:(NSUInteger)count;
@end

typedef NSString* NSErrorDomain;
@interface NSError : NSObject
@property(readonly) NSErrorDomain domain;
@property(readonly) NSInteger code;
@property(readonly) NSString* localizedDescription;
@end

typedef NSObject* dispatch_data_t;
typedef NSObject* dispatch_queue_t;
typedef void (^dispatch_block_t)(void);
#define DISPATCH_DATA_DESTRUCTOR_DEFAULT nullptr
extern "C" dispatch_data_t dispatch_data_create(const void* buffer, size_t size, dispatch_queue_t queue,
                                                dispatch_block_t destructor);
