/* SPDX-License-Identifier: Apache-2.0 */
/* Compiler vocabulary.  The only header every other header may include. */
#pragma once

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#define must_check	  __attribute__((warn_unused_result))
#define printf_like(f, a) __attribute__((format(printf, f, a)))
#define cleanup_with(fn)  __attribute__((cleanup(fn)))

#define ARRAY_SIZE(a)                                                                             \
	(sizeof(a) / sizeof((a)[0]) +                                                             \
	 sizeof(char[1 - 2 * __builtin_types_compatible_p(__typeof__(a), __typeof__(&(a)[0]))]) - \
	 1)

#define container_of(ptr, type, member)                             \
	({                                                          \
		const __typeof__(((type *)0)->member) *mp_ = (ptr); \
		(type *)((uintptr_t)mp_ - offsetof(type, member));  \
	})

/* Ownership of an fd or of heap memory leaves a scope only through take_*(). */
static inline void fd_close_(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd); /* never retried: Linux frees the fd first */
	errno = saved;
}

static inline void ptr_free_(void *pp)
{
	free(*(void **)pp);
}

static inline int take_fd(int *fd)
{
	int owned = *fd;

	*fd = -1;
	return owned;
}

#define take_ptr(pp)                           \
	({                                     \
		__typeof__(*(pp)) tp_ = *(pp); \
		*(pp) = NULL;                  \
		tp_;                           \
	})
#define autoclose cleanup_with(fd_close_)
#define autofree  cleanup_with(ptr_free_)
