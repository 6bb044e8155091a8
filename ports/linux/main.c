/* main.c - the program `han2x`: finds the command and runs it. */
#include <string.h>

#include "commands.h"
#include "hx/base.h"

static bool asks_help(const char *arg)
{
    return strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0;
}

static bool any_asks_help(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (asks_help(argv[i]))
            return true;
    return false;
}

/* What stands where a command should: --help, --version, help COMMAND, or nothing known. */
static int no_command(int argc, char **argv)
{
    const char *word = argv[1];
    if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0) {
        (void)puts("han2x " HX_VERSION);
    } else if (asks_help(word) || (strcmp(word, "help") == 0 && argc < 3)) {
        command_overview(stdout);
    } else if (strcmp(word, "help") == 0 && command_find(argv[2]) != NULL) {
        command_help(argv[2], stdout);
    } else if (strcmp(word, "--man") == 0) { /* for the build of the manual page */
        command_man(stdout);
    } else {
        return command_usage("", "there is no command '%s'",
                             strcmp(word, "help") == 0 ? argv[2] : word);
    }
    return command_finish_output(word);
}

int main(int argc, char **argv)
{
    const struct command *c;
    if (argc < 2)
        return command_usage("", "no command given");
    c = command_find(argv[1]);
    if (c == NULL)
        return no_command(argc, argv);
    if (any_asks_help(argc - 1, argv + 1)) {
        command_help(c->name, stdout);
        return command_finish_output(c->name);
    }
    return c->run(argc - 1, argv + 1);
}
