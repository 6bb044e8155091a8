/* cmd_run.c - han2x run: the gateway in the foreground. */
#include "commands.h"
#include "daemon.h"
#include "log.h"
#include "reset.h"
#include "store.h"

#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>

#define NAME "run"

struct options {
    struct config_source config;
    const char *state_dir;
};

enum { OPTION_STATE_DIR = 256 };
static const struct option long_options[] = {
    {"state-dir", required_argument, NULL, OPTION_STATE_DIR},
    {NULL, 0, NULL, 0},
};

static int set_option(struct options *o, int letter, char **argv)
{
    switch (letter) {
    case 'c':
        o->config.path = optarg;
        return EXIT_FINE;
    case 's':
        return config_override(&o->config, optarg, stderr) == HX_OK ? EXIT_FINE : EXIT_USAGE;
    case OPTION_STATE_DIR:
        o->state_dir = optarg;
        return EXIT_FINE;
    case ':':
        return command_usage(NAME, "%s needs a value", argv[optind - 1]);
    default:
        return command_usage(NAME, "there is no option %s", argv[optind - 1]);
    }
}

static int read_options(struct options *o, int argc, char **argv)
{
    int letter;

    opterr = 0; /* complaints are ours */
    while ((letter = getopt_long(argc, argv, "+:c:s:", long_options, NULL)) != -1) {
        int code = set_option(o, letter, argv);

        if (code != EXIT_FINE)
            return code;
    }
    if (optind < argc)
        return command_usage(NAME, "what is %s? Settings are given with -s KEY=VALUE",
                             argv[optind]);
    return EXIT_FINE;
}

/* A factory reset that was asked for, or that a power cut interrupted, comes before all else. */
static int run(const struct options *o, struct hx_settings *settings)
{
    char dir[PATH_MAX];
    enum hx_err reset;

    hx_store_choose(o->state_dir, dir);
    reset = hx_reset_resume(dir, config_path(&o->config), NULL);
    if (reset == HX_E_IO || hx_daemon_load(&o->config, settings) != HX_OK)
        return EXIT_FAILED;
    return hx_daemon_run(&o->config, settings, o->state_dir, reset == HX_OK) == 0 ? EXIT_FINE
                                                                                  : EXIT_FAILED;
}

int cmd_run(int argc, char **argv)
{
    static const struct sigaction ignore = {.sa_handler = SIG_IGN};
    struct options o = {0};
    struct hx_settings *settings = malloc(sizeof *settings); /* some 15 kB: not on the stack */
    int code;

    config_source_init(&o.config);
    code = read_options(&o, argc, argv);
    hx_log_init();
    (void)sigaction(SIGPIPE, &ignore, NULL); /* cannot fail for this signal */
    (void)mallopt(M_ARENA_MAX, 1);           /* two threads that allocate little share one */
    if (code == EXIT_FINE)
        code = settings != NULL ? run(&o, settings) : EXIT_FAILED;
    free(settings);
    return code;
}
