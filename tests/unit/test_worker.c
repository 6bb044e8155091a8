/* test_worker.c - jobs run on the other thread and come back on the loop's. */
#include "check.h"

#include "worker.h"

#include <semaphore.h>
#include <unistd.h>

struct order {
    struct hx_job job;
    pthread_t ran_on;
    unsigned runs, dones;
    sem_t *gate;  /* run waits for it; NULL none */
    sem_t *begun; /* run tells that it has begun; NULL nobody */
};

static void run(struct hx_job *job)
{
    struct order *o = (struct order *)(void *)job;

    if (o->begun != NULL)
        sem_post(o->begun);
    if (o->gate != NULL)
        sem_wait(o->gate);
    o->ran_on = pthread_self();
    o->runs++;
}

static void done(struct hx_job *job)
{
    ((struct order *)(void *)job)->dones++;
}

static struct order make_order(sem_t *gate)
{
    return (struct order){.job = {.run = run, .done = done}, .gate = gate};
}

static void jobs_come_back_on_the_loop(void **state)
{
    struct event_base *base = event_base_new();
    struct hx_worker w;
    struct order a = make_order(NULL), b = make_order(NULL);

    (void)state;
    assert_int_equal(hx_worker_open(&w, base), HX_OK);
    for (unsigned round = 1; round <= 3; round++) {
        assert_int_equal(hx_worker_submit(&w, &a.job), HX_OK);
        assert_int_equal(hx_worker_submit(&w, &b.job), HX_OK);
        while (a.job.busy || b.job.busy)
            assert_int_equal(event_base_loop(base, EVLOOP_ONCE), 0);
        assert_int_equal(a.runs, round);
        assert_int_equal(a.dones, round);
        assert_int_equal(b.dones, round);
    }
    assert_false(pthread_equal(a.ran_on, pthread_self()));
    assert_true(hx_worker_close(&w, 5000));
    event_base_free(base);
}

static void a_busy_job_is_not_taken_twice(void **state)
{
    struct event_base *base = event_base_new();
    struct hx_worker w;
    sem_t gate;
    struct order a = make_order(&gate);

    (void)state;
    sem_init(&gate, 0, 0);
    assert_int_equal(hx_worker_open(&w, base), HX_OK);
    assert_int_equal(hx_worker_submit(&w, &a.job), HX_OK);
    assert_int_equal(hx_worker_submit(&w, &a.job), HX_E_SPACE);
    sem_post(&gate);
    while (a.job.busy)
        assert_int_equal(event_base_loop(base, EVLOOP_ONCE), 0);
    assert_int_equal(a.runs, 1);
    assert_true(hx_worker_close(&w, 5000));
    event_base_free(base);
}

/* A look-up that hangs must not hold up the end of the program. */
static void the_end_does_not_wait_for_ever(void **state)
{
    static struct hx_worker w; /* the thread may still be in it when this returns false */
    struct event_base *base = event_base_new();
    sem_t gate, begun;
    struct order stuck = make_order(&gate), waiting = make_order(NULL);

    (void)state;
    sem_init(&gate, 0, 0);
    sem_init(&begun, 0, 0);
    stuck.begun = &begun;
    assert_int_equal(hx_worker_open(&w, base), HX_OK);
    assert_int_equal(hx_worker_submit(&w, &stuck.job), HX_OK);
    assert_int_equal(hx_worker_submit(&w, &waiting.job), HX_OK);
    sem_wait(&begun);
    assert_false(hx_worker_close(&w, 10));
    sem_post(&gate);
    assert_int_equal(pthread_join(w.thread, NULL), 0);
    assert_int_equal(stuck.runs, 1);
    assert_int_equal(waiting.runs, 0);
    close(w.fd);
    event_base_free(base);
}

static void what_was_not_begun_is_given_back(void **state)
{
    struct event_base *base = event_base_new();
    struct hx_worker w;
    sem_t gate;
    struct order first = make_order(&gate), second = make_order(NULL);

    (void)state;
    sem_init(&gate, 0, 0);
    assert_int_equal(hx_worker_open(&w, base), HX_OK);
    assert_int_equal(hx_worker_submit(&w, &first.job), HX_OK);
    assert_int_equal(hx_worker_submit(&w, &second.job), HX_OK);
    sem_post(&gate);
    assert_true(hx_worker_close(&w, 5000));
    assert_int_equal(first.dones, 1);
    assert_int_equal(second.dones, 1);
    event_base_free(base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jobs_come_back_on_the_loop),
        cmocka_unit_test(a_busy_job_is_not_taken_twice),
        cmocka_unit_test(the_end_does_not_wait_for_ever),
        cmocka_unit_test(what_was_not_begun_is_given_back),
    };
    return cmocka_run_group_tests_name("worker", tests, NULL, NULL);
}
