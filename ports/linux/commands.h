/* commands.h - the commands of the program `han2x`, one table of them in commands.c.
 * Each gets its own name as argv[0] and returns the exit code. --help never gets that far. */
#ifndef COMMANDS_H
#define COMMANDS_H

#include <stdio.h>

enum exit_code { EXIT_FINE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

int cmd_run(int argc, char **argv);
int cmd_decode(int argc, char **argv);
int cmd_simulate(int argc, char **argv);
int cmd_registers(int argc, char **argv);
int cmd_settings(int argc, char **argv);

/** One command, and what its help and the manual page say. */
struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *arguments, *summary, *help;
};
/** @return the command; NULL when there is none of this name. */
const struct command *command_find(const char *name);
/** Print the list of commands. */
void command_overview(FILE *out);
/** Print all commands as roff for han2x(1). */
void command_man(FILE *out);
/** Print the help of command @p name, as `han2x help` and COMMAND --help show it. */
void command_help(const char *name, FILE *out);
/** Complain about the command line in one line and say where the help is.
 * @param name  the command; empty before one is known.
 * @return EXIT_USAGE, to be returned. */
int command_usage(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));
/** Finish standard output: a full disk or a closed pipe is an error that is told.
 * @return EXIT_FINE or EXIT_FAILED. */
int command_finish_output(const char *name);

#endif
