/* reset.h - factory reset: everything that the user entered goes, and nothing else.
 * In:     a request.  Out: factory settings, an empty state folder.
 * State:  the file `reset` in the state folder: while it is there, the reset is not finished.
 *
 *   hx_reset_request: write `reset` ─▶ the program begins anew ─▶ hx_reset_resume: wipe, then
 *   remove `reset`. Before the mark is there all is old; after it every start wipes before it reads
 *   anything: a power cut leaves all old or ends in all factory.
 *
 * What goes, what stays, and why: docs/decisions/0014-panel-and-reset.md. */
#ifndef HX_RESET_H
#define HX_RESET_H

#include "hx/base.h"

#define HX_RESET_MARK "reset"
#define HX_RESET_WHY 200u
/* Beside the settings file: what a package for a certain box takes as factory settings. */
#define HX_RESET_FACTORY_SUFFIX ".factory"

/** What the device is, as opposed to what was entered. */
struct hx_reset_keep {
    uint32_t device_number, starts;
};

/** Ask for a reset. Blocks until that is on the disk. From then on it will be done; begin the
 * program anew at once, without saving anything.
 * @param settings  path of the settings file.
 * @param[out] why  in words unless HX_OK.
 * @return HX_OK; HX_E_IO it cannot be done: nothing has changed. */
enum hx_err hx_reset_request(const char *state_dir, const char *settings,
                             const struct hx_reset_keep *keep, char why[HX_RESET_WHY]);

/** Told before each step that changes the disk: a test ends the process there. */
struct hx_reset_watch {
    void (*step)(void *ctx, const char *what);
    void *ctx;
};

/** Carry out what was asked for. Call at the start, before the settings are read.
 * @param watch  NULL outside of tests.
 * @return HX_OK a reset was done; HX_MORE none was asked for; HX_E_IO it could not be finished,
 *         logged: do not go on. */
enum hx_err hx_reset_resume(const char *state_dir, const char *settings,
                            const struct hx_reset_watch *watch);

#endif
