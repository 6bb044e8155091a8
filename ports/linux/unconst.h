/* unconst.h - for libraries that take pointers to what they only read as if they would write.
 * State: none. */
#ifndef UNCONST_H
#define UNCONST_H

/** @return @p p, for a parameter that lacks its const. Nothing may be written through it. */
static inline void *unconst(const void *p)
{
    union {
        const void *in;
        void *out;
    } u = {.in = p};

    return u.out;
}

#endif
