/* test_thread.c - waiting for a thread's end has an end itself. */
#include "check.h"

#include "thread.h"

#include <semaphore.h>

static void *wait_for_gate(void *arg)
{
    (void)sem_wait(arg);
    return NULL;
}

static void joined_only_when_it_has_ended(void **state)
{
    sem_t gate;
    pthread_t thread;

    (void)state;
    assert_int_equal(sem_init(&gate, 0, 0), 0);
    assert_int_equal(hx_thread_start(&thread, 65536, wait_for_gate, &gate), 0);
    assert_false(hx_thread_join(thread, 0));
    assert_false(hx_thread_join(thread, 30));
    assert_int_equal(sem_post(&gate), 0);
    assert_true(hx_thread_join(thread, 5000));
    assert_int_equal(sem_destroy(&gate), 0);
}

/* Between what the clock says before and after, whatever its nanoseconds are just then. */
static void deadlines_are_in_order(void **state)
{
    (void)state;
    for (unsigned ms = 0; ms < 3000; ms++) {
        struct timespec before = hx_thread_deadline(CLOCK_MONOTONIC, 0);
        struct timespec at = hx_thread_deadline(CLOCK_MONOTONIC, ms);
        struct timespec after = hx_thread_deadline(CLOCK_MONOTONIC, 0);
        long long least = ms * 1000000LL;
        long long from_before =
            (at.tv_sec - before.tv_sec) * 1000000000LL + at.tv_nsec - before.tv_nsec;
        long long from_after =
            (at.tv_sec - after.tv_sec) * 1000000000LL + at.tv_nsec - after.tv_nsec;

        assert_in_range(at.tv_nsec, 0, 999999999);
        assert_true(from_before >= least && from_after <= least);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(joined_only_when_it_has_ended),
        cmocka_unit_test(deadlines_are_in_order),
    };

    return cmocka_run_group_tests_name("thread", tests, NULL, NULL);
}
